import { open, writeFile } from "node:fs/promises";
import { HubcastError } from "../core/errors.js";
import type { SimulationReport } from "../hub/simulate/index.js";

/** The file that --report names. Tried before the run: a long load must not end in "no such directory". */
export class ReportFile {
  private constructor(private readonly path: string) {}

  /** Leaves what is in it, until there is something to write. @throws usage */
  static async create(path: string): Promise<ReportFile> {
    try {
      const file = await open(path, "a");
      await file.close();
      return new ReportFile(path);
    } catch (error) {
      throw new HubcastError("usage", `--report: cannot write ${path}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /** @returns where it is */
  async write(report: SimulationReport): Promise<string> {
    const { reportPage } = await import("../hub/simulate/index.js");
    await writeFile(this.path, reportPage(report));
    return this.path;
  }
}
