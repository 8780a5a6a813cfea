import { memoryStorage } from "../../../src/node/storage/index.js";
import { storageContract } from "./contract.js";

storageContract("memory", { open: async () => memoryStorage() });
