// The form: reads the files that were chosen, and shows what was found.
/* global POLICY */

(() => {
  const TITLES = { verified: "Verified", altered: "Altered", unknown: "Unknown", undecided: "Cannot decide", invalid: "Not valid" };
  const element = (id) => document.getElementById(id);
  const read = async (file) => new Uint8Array(await file.arrayBuffer());

  if (POLICY !== null) {
    element("policy-hint").textContent = "which logs and witnesses count; without a file, the policy in this page";
  } else {
    element("policy").required = true;
  }

  function show({ outcome, sentence, lines }) {
    element("outcome").textContent = TITLES[outcome];
    element("outcome").className = outcome;
    element("sentence").textContent = sentence;
    element("lines").replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
    element("answer").dataset.outcome = outcome;
    element("answer").hidden = false;
  }

  element("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    element("answer").hidden = true;
    delete element("answer").dataset.outcome;
    try {
      const [object, receipt, opening, policy] = ["object", "receipt", "opening", "policy"].map((id) => element(id).files[0]);
      show(await titerVerify(
        await read(object),
        await read(receipt),
        policy ? await read(policy) : fromBase64(POLICY),
        opening ? await read(opening) : null,
        await Promise.all(Array.from(element("revocations").files, read)),
      ));
    } catch (error) {
      show({ outcome: "undecided", sentence: `Cannot decide: ${error.message}.`, lines: [] });
    }
  });
})();
