/** The page of the board, as scripts/board.js makes it of src/node/board. */
export interface BuiltPage {
  /** Base64 of the page, compressed by gzip. */
  readonly gzip: string;
  /** The policy under which browsers run it, with the hashes of its script and style. */
  readonly policy: string;
}

/** The build puts a module in place of this one that has the page inside; tests that run the sources read it from there. */
export async function builtPage(): Promise<BuiltPage> {
  const built = new URL("../../../build/src/node/http/page.js", import.meta.url);
  const module = (await import(built.href)) as { builtPage: typeof builtPage };
  return await module.builtPage();
}
