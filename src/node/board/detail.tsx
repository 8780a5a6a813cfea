import { useEffect, useRef, useState } from "preact/hooks";
import type { HoldersReceipt, ShownItem } from "../broadcast.js";
import { Refusal } from "./api.js";
import type { Board } from "./board.js";
import { exact, span, visible, visibleText, When } from "./words.js";

/** Longer texts take seconds to lay out; `broadcast show` has the whole. */
const TEXT_LENGTH_MAX = 100_000;

interface DetailProps {
  readonly board: Board;
  readonly id: string;
  readonly nowMs: number;
  readonly onClose: () => void;
}

/** One item whole, over the page. */
export function Detail({ board, id, nowMs, onClose }: DetailProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [item, setItem] = useState<ShownItem>();
  const [receipt, setReceipt] = useState<HoldersReceipt | "unknown">();
  const [fault, setFault] = useState<string>();
  useEffect(() => {
    const shown = dialog.current!;
    shown.showModal();
    // The backdrop is the dialog itself; what is in it is its child.
    shown.addEventListener("click", ({ target }) => target === shown && shown.close());
  }, []);
  useEffect(() => {
    let isOpen = true;
    const read = async () => {
      const found = await board.api.item(id);
      if (isOpen) setItem(found);
      const holders = await board.api.holders(id).catch(() => undefined);
      if (isOpen) setReceipt(holders ?? "unknown");
    };
    read().catch((error) => isOpen && setFault(faultOf(error)));
    return () => {
      isOpen = false;
    };
  }, [board, id]);
  return (
    <dialog ref={dialog} class="detail" aria-labelledby="detail-title" onClose={onClose}>
      <div class="detail-in">
        <div class="detail-top">
          <h2 id="detail-title">Item</h2>
          <form method="dialog">
            <button type="submit" class="plain">
              Close
            </button>
          </form>
        </div>
        {fault !== undefined && <p role="alert">{fault}</p>}
        {fault === undefined && !item && <p class="quiet">Reading…</p>}
        {item && <Whole board={board} item={item} receipt={receipt} nowMs={nowMs} />}
      </div>
    </dialog>
  );
}

type Answered = HoldersReceipt | "unknown" | undefined;

interface WholeProps {
  readonly board: Board;
  readonly item: ShownItem;
  readonly receipt: Answered;
  readonly nowMs: number;
}

function Whole({ board, item, receipt, nowMs }: WholeProps) {
  const { raw, id, timestampMs, digest, rivals } = item;
  const more = raw.length - TEXT_LENGTH_MAX;
  const expiresAtMs = board.status && timestampMs + board.status.retentionMs;
  return (
    <>
      <p class="detail-text" dir="auto">
        {visibleText(raw.slice(0, TEXT_LENGTH_MAX))}
      </p>
      {more > 0 && (
        <p class="quiet">
          {more} more characters: <code>hubcast broadcast show --raw</code>
        </p>
      )}
      <dl>
        <dt>Signature</dt>
        <dd>
          <Signature item={item} />
        </dd>
        <dt>Holders</dt>
        <dd>
          <Holders here={board.status?.name ?? "this node"} receipt={receipt} />
        </dd>
        <dt>Posted</dt>
        <dd>
          {exact(timestampMs)} (<When timestampMs={timestampMs} nowMs={nowMs} />)
        </dd>
        {expiresAtMs !== undefined && (
          <>
            <dt>Expires</dt>
            <dd title={exact(expiresAtMs)}>in {span((expiresAtMs - nowMs) / 1000)}</dd>
          </>
        )}
        {item.topic !== undefined && (
          <>
            <dt>Topic</dt>
            <dd>
              <bdi>{visible(item.topic)}</bdi>
            </dd>
          </>
        )}
        <dt>Id</dt>
        <dd class="mono">
          <bdi>{visible(id)}</bdi>
        </dd>
        <dt>Digest</dt>
        <dd class="mono">{digest}</dd>
        {rivals.length > 0 && (
          <>
            <dt>Hidden</dt>
            <dd>
              {rivals.length} {rivals.length === 1 ? "item" : "items"} of the same id, posted later on another
              node
            </dd>
          </>
        )}
      </dl>
    </>
  );
}

/** A node holds no item whose signature it did not verify. */
function Signature({ item: { scheme, author } }: { readonly item: ShownItem }) {
  if (author !== undefined)
    return (
      <>
        <p class="good">✓ Signed by its author, verified by this node</p>
        <p class="mono">ed25519:{author}</p>
      </>
    );
  return (
    <>
      <p>✓ The text is intact ({scheme === "md5" ? "MD5" : "SHA-256"}), verified by this node</p>
      <p class="quiet">Nobody signed it: anyone who may post could have written it.</p>
    </>
  );
}

function Holders({ here, receipt }: { readonly here: string; readonly receipt: Answered }) {
  if (receipt === undefined) return <p class="quiet">Asking the nodes…</p>;
  if (receipt === "unknown") return <p class="quiet">not known: the node did not answer</p>;
  const { holders, lacking, missing, refused, lost } = receipt;
  const lines = [
    { sign: "=", tone: "good", word: "holds it", of: [{ id: "", name: here }, ...holders] },
    { sign: "≠", tone: "bad", word: "does not hold it", of: lacking },
    { sign: "~", tone: "warn", word: "does not take it, by its policy", of: refused },
    { sign: "?", tone: "warn", word: "has not answered", of: missing },
    { sign: "×", tone: "bad", word: "is lost, and was not asked", of: lost },
  ];
  return (
    <ul class="holders">
      {lines.flatMap(({ sign, tone, word, of }) =>
        of.map(({ id, name }) => (
          <li key={`${word} ${id}`}>
            <span class={`sign ${tone}`} aria-hidden="true">
              {sign}
            </span>
            <bdi>{visible(name)}</bdi> <span class="quiet">{word}</span>
          </li>
        )),
      )}
    </ul>
  );
}

function faultOf(error: unknown): string {
  if (!(error instanceof Refusal)) return "The node does not answer.";
  return error.code === "notFound"
    ? "This item is not there: it has expired, or was never posted."
    : error.message;
}
