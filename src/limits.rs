//! Every size, count and time that bounds what a peer, a visitor or the world can cost us: one page, each with its
//! unit and its reason. `proto` uses this file too, so it is `core` alone.

/// Bytes of a frame's fixed header.
pub const FRAME_HEADER: usize = 8;

/// Bytes of payload in a data frame at most: what the 16-bit length field holds.
pub const MAX_PAYLOAD: usize = u16::MAX as usize;

/// Bytes of payload in every other frame at most. A name (255) and a proof (32) fit thrice over; a partly received
/// frame is all that a link ever holds back.
pub const MAX_CONTROL: usize = 1024;

/// Bytes of a service's name at most: its length is one byte on the wire.
pub const MAX_NAME: usize = 255;

/// Bytes of a reason in words at most, as sent; a longer one is cut.
pub const MAX_REASON: usize = 200;

/// A client's visitors are at most this many times the streams that it has room for: the tasks of some that were cut are
/// not over yet.
pub const VISITORS_PER_STREAM: u32 = 2;

/// Bytes of a webhook's URL at most: with two names it fits into one control frame.
pub const MAX_WEBHOOK: usize = 300;

/// Registrations on one link at most.
pub const MAX_SERVICES: u16 = 4096;

/// Registrations that may come on a link until one is proven; more end the link. Each costs a proof; a client with a
/// thousand services in front of the first good one stays below it.
pub const MAX_UNPROVEN: u32 = 1024;

/// Streams of one session at most, whatever the budget: slots are 16 bits on the wire.
pub const MAX_STREAMS: u32 = 16_384;

/// Bytes that may be sent on a new stream before the first credit arrives. One small web page; a stream that needs
/// more grows.
pub const INITIAL_WINDOW: u32 = 8 * 1024;

/// Bytes of window of one stream at most: 100 ms at 1.3 Gbit/s.
pub const MAX_WINDOW: u32 = 16 * 1024 * 1024;

/// A stream's window grows by at most this part of what is free, so that some is left for the next one.
pub const GROWTH_SHARE: u32 = 4;

/// A window holds what the reader takes in so many round trips. Credit for a quarter of it is always under way, so two
/// would hold back the very rate that is measured.
pub const WINDOW_TRIPS: u32 = 3;

/// Credit is due when this part of a window was taken.
pub const CREDIT_PART: u32 = 4;

/// µs that queues add to the least round trip: each end's own writes take up to [`BATCH_TIME`], and what other streams
/// put there must not keep a window small.
pub const QUEUE_TIME: u64 = BATCH_TIME;

/// Bytes of a window for those queues at most: what one stream has of one write to a fast link. More would only wait in
/// front of whoever is the slowest, and a keystroke behind it.
pub const QUEUE_BYTES: u64 = TRANSMIT_BUFFER as u64 / 2;

/// µs; the round trip until one was measured.
pub const ASSUMED_ROUND_TRIP: u64 = 50_000;

/// Bytes of one chunk of what a visitor's full socket refused.
pub const CHUNK: usize = 2 * 1024;

/// Chunks written at a time: as many bytes as the kernel takes.
pub const CHUNKS_PER_WRITE: usize = VISITOR_UNSENT as usize / CHUNK;

/// Bytes that one stream can hold on the receiving side before its window grows: the window, one chunk half read and
/// one half filled.
pub const STREAM_RESERVE: u32 = INITIAL_WINDOW + 2 * CHUNK as u32;

/// Bytes of budget for received data, at least and at most; between them a quarter of the machine's memory
/// ([`budget`]). Half is reserved for new streams, half is for growth.
pub const MIN_BUDGET: u64 = 4 * 1024 * 1024;
/// See [`MIN_BUDGET`].
pub const MAX_BUDGET: u64 = 256 * 1024 * 1024;

/// Bytes of received data that the process may hold on a machine with `memory` bytes.
pub const fn budget(memory: u64) -> u64 {
    let share = memory / 4;
    if share < MIN_BUDGET {
        MIN_BUDGET
    } else if share > MAX_BUDGET {
        MAX_BUDGET
    } else {
        share
    }
}

/// Streams that a budget of `bytes` carries, over all links of the process.
pub const fn streams(bytes: u64) -> u32 {
    let fit = bytes / 2 / STREAM_RESERVE as u64;
    if fit > MAX_STREAMS as u64 {
        MAX_STREAMS
    } else {
        fit as u32
    }
}

/// A link may have this many times the streams that are free for all: whatever one does, some are left for the others.
pub const STREAM_SHARE: u32 = 15;

/// Bytes of one datagram at most: what IPv4 carries.
pub const MAX_DATAGRAM: usize = 65_507;

/// Datagrams of one flow that wait for the link at most. As many bytes of usual ones as [`FLOW_BYTES`]: 9 ms at 300 Mbit/s,
/// in which either end may well have no turn.
pub const FLOW_COUNT: usize = 256;

/// Datagrams of one new flow that wait until its local service is found at most, the first one included.
pub const EARLY_COUNT: usize = 64;

/// Bytes of one flow's datagrams that wait at most; one of any size fits always.
pub const FLOW_BYTES: usize = 256 * 1024;

/// µs that a datagram waits for the link at most: later it is of no use.
pub const FLOW_AGE: u64 = 100_000;

/// Bytes that a datagram which waits is counted for besides its own: its place in the queue, and the allocator's.
pub const DATAGRAM_COST: usize = 64;

/// Bytes of datagrams that wait for one link at most, over all its flows.
pub const LINK_DATAGRAMS: usize = 1024 * 1024;

/// Flows of one service at most; when full the least recently used gives way.
pub const MAX_FLOWS: usize = 1024;

/// Flows are at most this part of a link's streams, and of the process's: whoever sends from many addresses, or claims
/// to, must not shut out connections.
pub const FLOW_PART: u32 = 2;

/// Bytes asked of the kernel for a UDP socket to receive into: some ms of a fast sender.
pub const UDP_RECEIVE: usize = 1024 * 1024;

/// Bytes of datagrams that the system is given many of at once, at most: what Ethernet carries whole. Larger ones are cut
/// into fragments, which it does one by one.
pub const UDP_SEGMENT: usize = 1472;

/// Bytes of each of the places that datagrams are received into at once; the kernel may put several of one sender into
/// one.
pub const UDP_PLACE: usize = 64 * 1024;

/// Bytes of the one buffer that is lent to whatever is readable. Large, so that a busy link costs few system calls.
pub const READ_BUFFER: usize = 256 * 1024;

/// Bytes of frames gathered for one write to a link at most.
pub const TRANSMIT_BUFFER: usize = 128 * 1024;

/// Bytes gathered for one write while the link is slow: one full segment, so that a keystroke waits for no more.
pub const MIN_BATCH: usize = 1448;

/// µs of a slow link's time that one write may take.
pub const BATCH_TIME: u64 = 15_000;

/// Bytes that a stream may send in a turn while others wait, at first; then half of what one write takes.
pub const QUANTUM: u32 = 16 * 1024;

/// Bytes left in a write below which no further stream is read for it.
pub const MIN_READ: usize = 512;

/// Reads and writes of a link in a row, until the other tasks have their turn and sockets are asked who is readable: a
/// keystroke waits for that long. The second one finds out that a link is quiet again; no need to look when the first
/// one moved so many bytes.
pub const LINK_ROUNDS: u32 = 2;
/// See [`LINK_ROUNDS`].
pub const LINK_TURN: usize = 64 * 1024;

/// Reads of a busy UDP socket in a row, until the other tasks have their turn.
pub const BUSY_ROUNDS: u32 = 8;

/// Bytes that the kernel may hold unsent of a link, and of a visitor (TCP_NOTSENT_LOWAT).
pub const LINK_UNSENT: u32 = 128 * 1024;
/// See [`LINK_UNSENT`].
pub const VISITOR_UNSENT: u32 = 128 * 1024;

/// Visitors at once from which on memory is given back when half of them have left: what it costs is little beside their
/// goodbyes.
pub const CROWD: u32 = 64;

/// Seconds of a visitor's, or a local service's, silence until the system probes whether it is there, and between two
/// probes. Linux sends nine: who vanished is noticed within seven minutes, and a phone that sleeps is hardly woken.
pub const VISITOR_KEEPALIVE: u64 = 120;
/// See [`VISITOR_KEEPALIVE`].
pub const VISITOR_PROBES: u64 = 30;

/// Bytes of the length in front of a Noise message or record, and of a record's tag.
pub const NOISE_HEADER: usize = 2;
/// See [`NOISE_HEADER`].
pub const NOISE_TAG: usize = 16;

/// Bytes of a Noise record at most, its tag included: what the length in front of it holds.
pub const NOISE_RECORD: usize = u16::MAX as usize;

/// Bytes that hold any handshake message of Noise: two keys, two tags and an offer are the longest.
pub const NOISE_MESSAGE: usize = 128;

/// Records in one direction under one key: of the longest ones 4 GiB, a hundredth of what AES-GCM stands.
pub const NOISE_REKEY: u64 = 1 << 16;

/// Buffers of sealed or opened bytes kept for the next busy link: one each way.
pub const NOISE_SPARE: usize = 2;

/// Bytes that one link can hold besides its streams' windows: a datagram half received, the rest of one write, and
/// what its cover has half received (a record of Noise; a message of TLS is as long at most).
pub const LINK_RESERVE: usize = MAX_DATAGRAM + FRAME_HEADER + TRANSMIT_BUFFER + NOISE_HEADER + NOISE_RECORD;

/// Links whose handshake is under way at most; when full the oldest gives way.
pub const MAX_HANDSHAKES: usize = 256;

/// Of a server's time, the part that handshakes with strangers may take as far as they are costly: one in this many;
/// and how much of it, in µs, may come in one go after a quiet time.
pub const HANDSHAKE_SHARE: u64 = 2;
/// See [`HANDSHAKE_SHARE`].
pub const HANDSHAKE_BURST: u64 = 500_000;

/// Bytes and lines of the HTTP request or answer that a WebSocket begins with: what proxies add to it fits.
pub const MAX_HEAD: usize = 16 * 1024;
/// See [`MAX_HEAD`].
pub const MAX_HEAD_LINES: usize = 64;

/// Bytes of payload in a control frame of WebSocket at most: RFC 6455, section 5.5.
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// Bytes of a certificate's or a key's file at most: all roots of a system fit.
pub const MAX_PEM: usize = 1024 * 1024;

/// Seconds for what a cover has to say when it is torn: the answer to a stray HTTP request, a TLS alert.
pub const LAST_WORDS_TIME: u64 = 1;

/// Seconds without a datagram until a visitor of a UDP service that only clients name is forgotten.
pub const TUNNEL_IDLE: u64 = 60;

/// Bytes read at a time of an answer over HTTP, which may be under TLS.
pub const TLS_PLACE: usize = 4 * 1024;

/// Alerts under way at most, to the operator and to members; further ones are lost.
pub const MAX_ALERTS: usize = 64;

/// Seconds for one alert.
pub const ALERT_TIME: u64 = 5;

/// Bytes of the first line of an answer over HTTP at most.
pub const MAX_STATUS_LINE: usize = 256;

/// Changes of its members' health that a group remembers.
pub const MAX_CHANGES: usize = 50;

/// Reports of health in a second, over one link, at most; more end it. A service of a client that keeps to its intervals has
/// one.
pub const MAX_REPORTS: u32 = MAX_SERVICES as u32;

/// Members of a group at most: each is looked at for each visitor.
pub const MAX_MEMBERS: usize = 256;

/// Members that are asked to take a visitor at most, until it is given up.
pub const MAX_TRIES: usize = 16;

/// Links that a server keeps at most.
pub const MAX_LINKS: usize = 4096;

/// Seconds until a link that has proven nothing is closed.
pub const HANDSHAKE_TIME: u64 = 8;

/// Seconds for one attempt to connect, to the server or to a local service.
pub const CONNECT_TIME: u64 = 10;

/// ms between attempts to connect to a unix socket whose queue is full.
pub const UNIX_RETRY: u64 = 10;

/// Seconds that a service's incumbent has to answer when another client wants its place, and the server when a newer
/// link is in the place of one that still has visitors.
pub const CONTEST_TIME: u64 = 4;

/// Seconds until a client that uses a later address of its server looks whether the first one answers again.
pub const RETURN_TIME: u64 = 30;

/// Seconds that a service has to move from an older link to a newer one; then the older one lets go of it.
pub const RENEW_TIME: u64 = 30;

/// Seconds that visitors have to leave a link in whose place a newer one is.
pub const DRAIN_TIME: u64 = 3600;

/// Looks per second whether a client that is to end has visitors left.
pub const DRAIN_LOOKS: u32 = 5;

/// Links of a client at most that live on for their visitors while a newer one is in use; the oldest gives way.
pub const MAX_REPLACED: usize = 8;

/// Seconds between two new links that somebody asks for: each has time to be made.
pub const RECONNECT_REST: u64 = 3;

/// Seconds for goodbyes to leave when the process ends.
pub const GOODBYE_TIME: u64 = 1;

/// ms between attempts to reach the server, at least: `retry_interval = 0` must not spin.
pub const MIN_RETRY: u64 = 200;

/// Seconds that a link must have lived for the next attempt to start from the shortest wait.
pub const STEADY_LINK: u64 = 10;

/// Seconds between registrations of a service that another client holds: from, to.
pub const TAKEN_RETRY: (u64, u64) = (30, 300);

/// Seconds between registrations of a service whose proof was refused at most.
pub const MAX_REFUSED_RETRY: u64 = 60;

/// Seconds between heartbeats at most and at least, whatever a peer states.
pub const MAX_HEARTBEAT: u64 = 24 * 3600;

/// ms between heartbeats at least, whatever a peer states.
pub const MIN_HEARTBEAT: u64 = 100;

/// Heartbeats per timeout: two may be lost.
pub const HEARTBEATS_PER_TIMEOUT: u64 = 3;

/// Round trips that the windowed minimum looks back on.
pub const ROUND_TRIPS: usize = 8;

/// Round trips measured early in a link's life, and µs between them: the first one falls into registration, when both ends
/// are busy, and windows are sized by the least.
pub const EARLY_TRIPS: usize = 4;
/// See [`EARLY_TRIPS`].
pub const EARLY_PAUSE: u64 = 100_000;

/// Seconds that the answer to a name look-up of a local service is kept.
pub const NAME_TIME: u64 = 10;

/// Bytes of a PROXY protocol header from a load balancer at most: the addresses, and room for what it adds of TLS and
/// of itself.
pub const PROXY_HEADER: usize = 2 * 1024;

/// Seconds until that header must be there: one segment may be lost.
pub const PROXY_HEADER_TIME: u64 = 5;

/// Visitors of a service whose header is awaited at most; when full the oldest gives way.
pub const MAX_PROXY_HEADERS: usize = 256;

/// Bytes of the answer of a proxy on the way to the server at most.
pub const PROXY_ANSWER: usize = 8 * 1024;

/// Names looked up at the same time, and answers kept, at most.
pub const MAX_NAMES: usize = 256;

/// Bytes of stack of the thread that looks names up; the C library's resolver needs some.
pub const NAMES_STACK: usize = 128 * 1024;

/// Sources of failed proofs remembered, and ms of delay for one: from, to.
pub const MAX_STRANGERS: usize = 1024;
/// See [`MAX_STRANGERS`].
pub const STRANGER_DELAY: (u64, u64) = (100, 1000);

/// Seconds until a source of failed proofs is forgotten.
pub const STRANGER_FORGET: u64 = 60;

/// Lines in so many seconds about one thing that others can make happen as often as they like; the rest is for debug.
pub const LOG_LINES: u32 = 20;
/// See [`LOG_LINES`].
pub const LOG_TIME: u64 = 10;

/// Seconds between two log lines about strangers.
pub const STRANGER_LOG: u64 = 10;

/// Connections that wait to be accepted, as far as the system allows.
pub const BACKLOG: i32 = 4096;

/// Lines in that time about registrations that name no known service.
pub const STRANGER_LINES: u32 = 20;

/// ms that a listener rests after `accept` failed (no descriptor left).
pub const ACCEPT_REST: u64 = 100;

/// Clients of the control socket served at the same time, seconds that one may take, and bytes of its request.
pub const MAX_STATUS: usize = 8;
/// See [`MAX_STATUS`].
pub const STATUS_TIME: u64 = 5;

/// ms for which a changed configuration must have been left alone before it is read: half of it is worse than none.
pub const QUIET_TIME: u64 = 200;

/// Seconds until what a reload could not do (a port that is taken) is tried again.
pub const RELOAD_RETRY: u64 = 30;

/// Seconds that are waited for a writer to close a configuration.
pub const WRITER_TIME: u64 = 60;

/// Names that may lead to a file, over symbolic links, at most.
pub const MAX_SYMLINKS: usize = 40;

/// Bytes of a file with a secret in it at most.
pub const MAX_SECRET: usize = 8 * 1024;

/// The worst case of what peers and visitors can make a server hold, in bytes, beside a fixed part: all streams stuck
/// and full, all links half way through a write. A client that has proven a service may claim [`MAX_SERVICES`] names
/// besides, a few hundred bytes each; strangers are [`MAX_HANDSHAKES`] of these links at most.
pub const MEMORY_CEILING: u64 = MAX_BUDGET + MAX_LINKS as u64 * (LINK_RESERVE + LINK_DATAGRAMS) as u64;

const _: () = assert!(streams(MAX_BUDGET) as u64 * STREAM_RESERVE as u64 <= MAX_BUDGET / 2);
const _: () = assert!(streams(MIN_BUDGET) as u64 * STREAM_RESERVE as u64 <= MIN_BUDGET / 2);
const _: () = assert!(streams(MIN_BUDGET) >= 128 && streams(MAX_BUDGET) >= 10_000);
const _: () = assert!(MAX_STREAMS <= u16::MAX as u32 + 1);
const _: () = assert!(MAX_CONTROL > 2 * (MAX_NAME + MAX_REASON));
const _: () = assert!(TRANSMIT_BUFFER >= 2 * (MAX_CONTROL + FRAME_HEADER));
const _: () = assert!(MEMORY_CEILING <= 6 << 30);
const _: () = assert!(MAX_DATAGRAM <= MAX_PAYLOAD && MAX_DATAGRAM <= UDP_PLACE);
const _: () = assert!(MAX_DATAGRAM + DATAGRAM_COST <= FLOW_BYTES);
const _: () = assert!(MAX_DATAGRAM + FRAME_HEADER <= TRANSMIT_BUFFER && READ_BUFFER >= UDP_PLACE);
