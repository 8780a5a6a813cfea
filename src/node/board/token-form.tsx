import { useState } from "preact/hooks";
import type { Board } from "./board.js";

export function TokenForm({ board }: { readonly board: Board }) {
  const [token, setToken] = useState("");
  const use = async (event: Event) => {
    event.preventDefault();
    await board.takeToken(token.trim());
  };
  return (
    <main class="token">
      <form onSubmit={use}>
        <h1>This node asks for a token</h1>
        <p class="quiet">
          It is one line of the file that the node was started with (<code>--token-file</code>). A token that
          may only read shows the board without posting.
        </p>
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          autocomplete="current-password"
          required
          value={token}
          aria-describedby="token-fault"
          onInput={(event) => setToken(event.currentTarget.value)}
        />
        <button type="submit" class="main">
          Open the board
        </button>
        <p id="token-fault" class="bad" role="alert">
          {board.tokenFault}
        </p>
        <p class="quiet">It is kept until this tab is closed, and is sent to this node alone.</p>
      </form>
    </main>
  );
}
