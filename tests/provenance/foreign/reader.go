// Reads a log over HTTP with golang.org/x/mod/sumdb, which shares no code with Titer: checkpoint, tiles and bundles.
//
// reader ADDRESS KEY prints "SIZE ENTRIES ROOT" if the checkpoint is signed by KEY, every hash that the tiles hold leads to
// its root, every entry has the hash that its tile says, and a tree made of the entries alone has that root.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var address string

func get(path string) []byte {
	answer, err := http.Get(address + "/" + path)
	check(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	check(err)
	if answer.StatusCode != 200 {
		check(fmt.Errorf("%s: status %d", path, answer.StatusCode))
	}
	return body
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// tiles reads what tlog asks for; tlog itself checks each tile against the root.
type tiles struct{}

func (tiles) Height() int { return 8 }

func (tiles) ReadTiles(asked []tlog.Tile) ([][]byte, error) {
	made := make([][]byte, len(asked))
	for i, tile := range asked {
		made[i] = get(strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
	}
	return made, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// stored keeps the hashes of a tree that is made of entries alone.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	made := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		made[i] = s[index]
	}
	return made, nil
}

func main() {
	address = os.Args[1]
	verifier, err := note.NewVerifier(os.Args[2])
	check(err)
	signed, err := note.Open(get("checkpoint"), note.VerifierList(verifier))
	check(err)
	lines := strings.Split(signed.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	raw, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], raw)
	reader := tlog.TileHashReader(tree, tiles{})
	var own stored
	entries := int64(0)
	for first := int64(0); first < size; first += 256 {
		width := int64(256)
		if size-first < width {
			width = size - first
		}
		tile := tlog.Tile{H: 8, L: 0, N: first / 256, W: int(width)}
		bundle := get(strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1))
		indexes := make([]int64, width)
		for i := range indexes {
			indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
		}
		hashes, err := reader.ReadHashes(indexes)
		check(err)
		for i := int64(0); i < width; i++ {
			if len(bundle) < 2 {
				check(fmt.Errorf("bundle %d ends before entry %d", first/256, i))
			}
			length := int(binary.BigEndian.Uint16(bundle))
			entry := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			if tlog.RecordHash(entry) != hashes[i] {
				check(fmt.Errorf("entry %d has another hash than its tile says", first+i))
			}
			more, err := tlog.StoredHashes(first+i, entry, own)
			check(err)
			own = append(own, more...)
			entries++
		}
		if len(bundle) > 0 {
			check(fmt.Errorf("bundle %d holds more than its entries", first/256))
		}
	}
	root, err := tlog.TreeHash(size, own)
	check(err)
	if root != tree.Hash {
		check(fmt.Errorf("the entries have another root"))
	}
	fmt.Println(size, entries, root)
}
