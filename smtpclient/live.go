package smtpclient

import (
	"context"

	"github.com/bridgehead-mail/bridgehead/internal/counters"
	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// SessionInfo describes one live session, see Transport.Sessions. Identity is the
// name of an account; show it only to those who may know it.
//
//	type SessionInfo struct {
//		ID                string    // as in the protocol log
//		Connector         string    // name of the send connector
//		Local, Remote     string    // addresses and ports of this end and of the host
//		Peer              string    // not used
//		Name              string    // Host.Name
//		Started           time.Time
//		State             string    // see below
//		StateSince        time.Time
//		Waiting           string    // not used
//		TLS               string    // version and cipher suite; empty for plain text
//		Identity          string    // Authenticator.Identity, after AUTH
//		MessageID         string    // Message.ID, while a message is sent
//		From              string    // its reverse-path
//		Recipients        int       // recipients of the transaction that the host has accepted
//		Messages          int       // messages that the session has carried
//		BytesIn, BytesOut int64     // received and sent, without the overhead of TLS
//	}
//
// The states say for which reply of the host the session waits: "connect" (the
// greeting), "helo", "tls", "auth", "mail", "rcpt", "data" (also while the
// content is sent), "end of data", "quit". "idle" is a session that is kept for
// the next message.
type SessionInfo = live.Info

// A WatchFilter selects the sessions that Transport.Watch shows. A session must
// match all fields that are set.
//
//	type WatchFilter struct {
//		Session   string       // the ID of one session
//		Connector string       // the name of a send connector
//		Client    netip.Prefix // the network of the host
//	}
type WatchFilter = live.Filter

// Errors of Transport.Watch.
var (
	ErrNoSession       = live.ErrNoSession
	ErrTooManyWatchers = live.ErrTooManyWatchers
)

// Counters are statistics of a Transport since it was created.
//
//	type Counters struct {
//		Connections int64                  // that are open now
//		Connects    map[string]int64       // by result: "ok", "refused", "timeout", "unreachable", "canceled", "error"
//		Sessions    int64                  // that were opened: greeting, EHLO, TLS and AUTH succeeded
//		Failed      int64                  // connections on which no session could be opened
//		Messages    int64                  // transactions whose end of data got 2xx
//		Bytes       int64                  // of their content
//		Replies     map[ReplyKey]int64     // by stage and status
//		Durations   map[string]Histogram   // of the steps, by stage, in seconds
//		TLS         map[string]int64       // sessions by "dane", "sts", "pkix", "none" (not verified), "plain"
//		TLSFailed   int64                  // sessions that failed because of TLS
//	}
//
// The durations of the stages are from the command (with pipelining: from the
// reply before) to the reply. Three stages have only a duration: "connect",
// "handshake" (of TLS), and "content", the transfer of the content.
//
//	type ReplyKey struct {
//		Stage  string // "greeting", "helo", "starttls", "auth", "mail", "rcpt", "data", "content", "end of data", "other"
//		Status string // class and subject of the enhanced code, as "4.7"; only the class without one
//	}
type Counters = live.SendCounters

// A ReplyKey is a kind of replies, see Counters.
type ReplyKey = live.ReplyKey

// A Histogram counts values by size. Durations are in seconds.
//
//	type Histogram struct {
//		Bounds []float64 // upper bounds, inclusive, in ascending order
//		Counts []int64   // the values up to each bound and above the bound before it; the last: above all bounds
//		Sum    float64   // of all values
//		Count  int64     // the number of all values
//	}
//
// Its method Quantile(0.5) estimates the median.
type Histogram = counters.Snapshot

// Sessions lists the live sessions, the oldest first. It is safe for concurrent
// use and delays no session.
func (t *Transport) Sessions() []SessionInfo { return t.live.Sessions() }

// EndSession ends a session. It reports whether there is a live session with this
// ID, and does not wait for its end. An idle session ends with QUIT. A session
// that sends a message is closed at once, and the results are those of a broken
// connection: the message may be tried with another host. But if the end of data
// was sent, the host may have accepted the message, so the session first waits
// for the reply, as long as Timeouts.DataDone allows, and ends then.
func (t *Transport) EndSession(id string) bool { return t.live.EndSession(id) }

// Watch sends the dialogue of the sessions that match f, line by line as in the
// protocol log: without credentials and content. Of a session that begins later,
// it sends all lines from the first. The channel is closed when ctx ends. Read
// it until then.
//
// With WatchFilter.Session, the lines that the session has kept come first (see
// KeepDialogue), and the channel is also closed when the session has ended.
//
// A slow receiver delays no session. Up to 1000 lines wait for it; more are lost,
// and a line of the Kind '*' with an empty Session says how many. Up to 16
// watchers are possible at a time; one more gets ErrTooManyWatchers. If there is
// no session with the ID WatchFilter.Session, the error is ErrNoSession.
func (t *Transport) Watch(ctx context.Context, f WatchFilter) (<-chan ProtocolEvent, error) {
	return t.live.Watch(ctx, f)
}

// Dialogue returns the lines that a session has kept, see KeepDialogue. If earlier
// ones are missing, the first line is one of the Kind '*' that says how many. If
// there is no session with this ID, the error is ErrNoSession.
func (t *Transport) Dialogue(id string) ([]ProtocolEvent, error) { return t.live.Dialogue(id) }

// KeepDialogue makes each session keep the last n bytes of its dialogue, at most
// 65536, so that a Watch of a session that already runs begins with them. 4096
// bytes are about 30 lines. Sessions that run now keep their next lines. 0 keeps
// nothing and drops what was kept. Default 0. It may be called at any time.
func (t *Transport) KeepDialogue(n int) { t.live.KeepDialogue(n) }

// LiveSessions returns the sessions in the form that lets a live.Group combine
// transports.
func (t *Transport) LiveSessions() *live.Registry { return &t.live }

// Counters returns the current statistics. It is safe for concurrent use.
func (t *Transport) Counters() Counters {
	c := t.counters.snapshot()
	c.Connections = int64(t.live.Len())
	return c
}
