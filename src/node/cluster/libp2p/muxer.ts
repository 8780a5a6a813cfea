import type {
  AbortOptions,
  CreateStreamOptions,
  MessageStream,
  StreamMuxer,
  StreamMuxerFactory,
} from "@libp2p/interface";
import { AbstractStream, AbstractStreamMuxer, type SendResult } from "@libp2p/utils";

/** The protocol of the frame stream. */
export const LINK_PROTOCOL = "/hubcast/link/1";

type Bytes = Parameters<MessageStream["send"]>[0];

/** The first byte of each side. The side that dialled asks with it for the stream, and the other agrees. */
const OPENING = Uint8Array.of(1);

/**
 * A multiplexer with one stream on each connection, which is all that a link needs: behind the first byte the bytes of the
 * connection are those of the stream, and backpressure is TCP's.
 */
export function linkMuxer(): StreamMuxerFactory {
  return {
    protocol: LINK_PROTOCOL,
    createStreamMuxer: (connection): StreamMuxer => new LinkMuxer(connection),
  };
}

class LinkMuxer extends AbstractStreamMuxer<LinkStream> {
  #stream: LinkStream | undefined;
  /** This side has asked for the stream. */
  #asked: PromiseWithResolvers<LinkStream> | undefined;

  constructor(connection: MessageStream) {
    super(connection, { protocol: LINK_PROTOCOL, name: "link" });
  }

  override onCreateStream({ protocol, signal }: CreateStreamOptions): Promise<LinkStream> {
    if (protocol !== LINK_PROTOCOL || this.#asked || this.maConn.direction === "inbound")
      throw new Error("a connection has one stream, which the side that dialled opens");
    signal?.throwIfAborted();
    const asked = Promise.withResolvers<LinkStream>();
    this.#asked = asked;
    signal?.addEventListener("abort", () => asked.reject(signal.reason), { once: true });
    this.send(OPENING);
    return asked.promise;
  }

  override onData(data: Bytes): void {
    if (this.#stream) {
      this.#stream.onData(data);
      return;
    }
    const bytes = data.subarray();
    if (bytes[0] !== OPENING[0] || (this.maConn.direction === "outbound" && !this.#asked))
      throw new Error("it opens no frame stream");
    this.#stream = new LinkStream(this.maConn, (data) => this.send(data));
    // Its reader resumes it. Until then TCP holds up the peer, and nothing is kept in memory.
    this.#stream.pause();
    this.#stream.onData(bytes.subarray(1));
    if (this.#asked) this.#asked.resolve(this.#stream);
    else {
      this.send(OPENING);
      this.onRemoteStream(this.#stream);
    }
  }

  override onTransportClosed(error?: Error): void {
    super.onTransportClosed(error);
    this.#asked?.reject(error ?? new Error("it closed the connection"));
  }
}

class LinkStream extends AbstractStream {
  constructor(
    private readonly connection: MessageStream,
    private readonly write: (data: Bytes) => boolean,
  ) {
    const { log, direction } = connection;
    super({ log, id: "1", protocol: LINK_PROTOCOL, ...(direction && { direction }) });
  }

  override sendData(data: Bytes): SendResult {
    // Counted first, since sending empties the list.
    const sentBytes = data.byteLength;
    return { sentBytes, canSendMore: this.write(data) };
  }

  override sendPause(): void {
    this.connection.pause();
  }

  override sendResume(): void {
    this.connection.resume();
  }

  override sendReset(error: Error): void {
    this.connection.abort(error);
  }

  override async sendCloseWrite(options?: AbortOptions): Promise<void> {
    await this.connection.close(options);
  }

  override async sendCloseRead(): Promise<void> {}
}
