/** Why a connection ended. Closed: logs, metrics, `/v1/clients` and goodbye frames know no other words. */
export const CLOSE_REASONS = {
  clientClosed: { code: 1, meaning: "The client ended the connection." },
  connectionLost: { code: 2, meaning: "The connection broke." },
  slowConsumer: { code: 3, meaning: "The client did not read what was sent to it." },
  memoryBudget: {
    code: 4,
    meaning: "The hub's memory was used up and this client made no progress for longest.",
  },
  malformedFrame: { code: 5, meaning: "A frame contradicts itself: empty, or its parts exceed its length." },
  frameTooLarge: { code: 6, meaning: "A frame or payload is longer than allowed." },
  unknownType: { code: 7, meaning: "A frame has a type that the hub does not know." },
  frameTimeout: { code: 8, meaning: "A frame was begun and not finished in time." },
  handshakeTimeout: { code: 9, meaning: "The hub asks for a hello and none came in time." },
  unauthorized: { code: 10, meaning: "The hub asks for a token and the first frame was no hello with it." },
  pingTimeout: { code: 11, meaning: "The client answered no ping in time." },
  clientsMax: { code: 12, meaning: "The hub has as many clients as it is allowed to have." },
  stopping: { code: 13, meaning: "The hub shuts down." },
  hubLost: { code: 14, meaning: "The hub of that client is gone, or out of reach of the other hubs." },
  messagesLost: {
    code: 15,
    meaning: "Messages to the client were lost between two hubs, and its version cannot be told.",
  },
  idsUsedUp: { code: 16, meaning: "The hub has no id left to give, and cannot get more now." },
} as const satisfies Record<string, { readonly code: number; readonly meaning: string }>;

export type CloseReason = keyof typeof CLOSE_REASONS;

/** The reason with that code; undefined for a code of a newer hub. */
export function closeReasonOf(code: number): CloseReason | undefined {
  return (Object.keys(CLOSE_REASONS) as CloseReason[]).find((reason) => CLOSE_REASONS[reason].code === code);
}
