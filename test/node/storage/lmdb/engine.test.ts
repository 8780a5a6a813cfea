import { afterAll } from "vitest";
import { storageContract } from "../contract.js";
import { DataDirs } from "./data-dirs.js";

const dirs = await DataDirs.create();
afterAll(() => dirs[Symbol.asyncDispose]());

storageContract("lmdb", {
  open: () => dirs.open(),
  reopen: (closed) => dirs.open(dirs.dirOf(closed)),
});
