// Judges proofs and notes with golang.org/x/mod/sumdb, which shares no code with Titer.
//
// Reads one question a line, fields separated by spaces, and answers each with "1" (accepted) or "0":
//
//	record ROOT SIZE LEAF INDEX HASH...     inclusion
//	tree ROOT SIZE OLDROOT OLDSIZE HASH...  consistency
//	note KEY BASE64                         a signed note
//	cosigned KEY BASE64                     a note cosigned with Ed25519 (tlog-cosignature)
package main

import (
	"bufio"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func hash(text string) (tlog.Hash, bool) {
	var made tlog.Hash
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != tlog.HashSize {
		return made, false
	}
	copy(made[:], raw)
	return made, true
}

func proofHolds(words []string) bool {
	root, ok1 := hash(words[1])
	size, err1 := strconv.ParseInt(words[2], 10, 64)
	other, ok2 := hash(words[3])
	number, err2 := strconv.ParseInt(words[4], 10, 64)
	if !ok1 || !ok2 || err1 != nil || err2 != nil {
		return false
	}
	proof := make([]tlog.Hash, 0, len(words)-5)
	for _, word := range words[5:] {
		each, ok := hash(word)
		if !ok {
			return false
		}
		proof = append(proof, each)
	}
	if words[0] == "record" {
		return tlog.CheckRecord(tlog.RecordProof(proof), size, root, number, other) == nil
	}
	return tlog.CheckTree(tlog.TreeProof(proof), size, root, number, other) == nil
}

func noteHolds(key, text string) bool {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return false
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	_, err = note.Open(raw, note.VerifierList(verifier))
	return err == nil
}

// cosigner checks what a witness signs: its time, and the note's text.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }

func (c cosigner) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	head := fmt.Sprintf("cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(signature))
	return ed25519.Verify(c.key, append([]byte(head), text...), signature[8:])
}

func cosignedHolds(key, text string) bool {
	parts := strings.SplitN(key, "+", 3)
	if len(parts) != 3 {
		return false
	}
	hash, err1 := strconv.ParseUint(parts[1], 16, 32)
	raw, err2 := base64.StdEncoding.DecodeString(parts[2])
	signed, err3 := base64.StdEncoding.DecodeString(text)
	if err1 != nil || err2 != nil || err3 != nil || len(raw) != 33 || raw[0] != 4 {
		return false
	}
	_, err := note.Open(signed, note.VerifierList(cosigner{parts[0], uint32(hash), raw[1:]}))
	return err == nil
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		words := strings.Fields(in.Text())
		holds := false
		switch {
		case len(words) >= 5 && (words[0] == "record" || words[0] == "tree"):
			holds = proofHolds(words)
		case len(words) == 3 && words[0] == "note":
			holds = noteHolds(words[1], words[2])
		case len(words) == 3 && words[0] == "cosigned":
			holds = cosignedHolds(words[1], words[2])
		default:
			fmt.Fprintln(os.Stderr, "no such question:", in.Text())
			os.Exit(2)
		}
		if holds {
			fmt.Fprintln(out, "1")
		} else {
			fmt.Fprintln(out, "0")
		}
	}
}
