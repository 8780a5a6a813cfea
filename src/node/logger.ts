/** The logger of a node; a pino logger fits. */
export interface NodeLogger {
  /** Of frames between nodes; absent: they are not logged. */
  trace?(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
