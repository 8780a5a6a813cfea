import { memoryStorage } from "../../../src/node/storage/memory.js";
import { storageContract } from "./contract.js";

storageContract("memory", { open: async () => memoryStorage() });
