import { render } from "preact";
import { App } from "./app.js";
import { Board } from "./board.js";

const board = new Board();
render(<App board={board} />, document.getElementById("board")!);
void board.start();
