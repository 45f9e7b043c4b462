package smtpserver

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// SessionInfo describes one live session, see Server.Sessions. Identity is the
// name of an account; show it only to those who may know it.
//
//	type SessionInfo struct {
//		ID                string    // as in the logs
//		Connector         string    // Server.Name or its default
//		Local             string    // address and port at this end
//		Remote            string    // address and port of the client, see Session.RemoteAddr
//		Peer              string    // of the proxy, if the client is behind one
//		Name              string    // Session.Helo
//		Started           time.Time
//		State             string    // see below
//		StateSince        time.Time
//		Waiting           string    // the agent that works now, "handler", or empty
//		TLS               string    // version and cipher suite; empty for plain text
//		Identity          string    // Session.Identity
//		MessageID         string    // of the current transaction, as are the next two
//		From              string
//		Recipients        int
//		Messages          int       // transactions so far
//		BytesIn, BytesOut int64     // received and sent, without the overhead of TLS
//	}
//
// The states are "banner", "helo", "tls", "auth", "mail", "rcpt", "data" (the
// content is being received), "end of data" (the agents and the Handler decide
// about a complete message), "idle" (between transactions), "refused" (554
// instead of the banner), "taken over" (an agent has the connection, as for
// ATRN) and "quit". The state "mail", for example, lasts from MAIL until the
// next command that changes it.
type SessionInfo = live.Info

// A WatchFilter selects the sessions that Server.Watch shows. A session must
// match all fields that are set.
//
//	type WatchFilter struct {
//		Session   string       // the ID of one session
//		Connector string       // the name of a connector
//		Client    netip.Prefix // the network of the client
//	}
type WatchFilter = live.Filter

// Errors of Server.Watch.
var (
	ErrNoSession       = live.ErrNoSession
	ErrTooManyWatchers = live.ErrTooManyWatchers
)

// Sessions lists the live sessions, the oldest first. It is safe for concurrent
// use and delays no session.
func (srv *Server) Sessions() []SessionInfo { return srv.live.Sessions() }

// EndSession ends a session. It reports whether there is a live session with
// this ID, and does not wait for its end. The client gets 421 4.3.2 as the reply
// to its next command, at once if the server waits for one, and the connection
// is closed. If the session has not ended 10 seconds later, because an agent
// works or the client does not read, its context ends and its connection is
// closed.
//
// A message whose end of data was received is not affected: the agents and the
// Handler decide about it, the client gets their reply, and then the session
// ends. A message that is not complete was not accepted, so its client tries
// again. A connection that an agent has taken over (Reply.Takeover) ends when
// the agent returns.
func (srv *Server) EndSession(id string) bool { return srv.live.EndSession(id) }

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
func (srv *Server) Watch(ctx context.Context, f WatchFilter) (<-chan ProtocolEvent, error) {
	return srv.live.Watch(ctx, f)
}

// Dialogue returns the lines that a session has kept, see KeepDialogue. If earlier
// ones are missing, the first line is one of the Kind '*' that says how many. If
// there is no session with this ID, the error is ErrNoSession.
func (srv *Server) Dialogue(id string) ([]ProtocolEvent, error) { return srv.live.Dialogue(id) }

// KeepDialogue makes each session keep the last n bytes of its dialogue, at most
// 65536, so that a Watch of a session that already runs begins with them. 4096
// bytes are about 30 lines. Sessions that run now keep their next lines. 0 keeps
// nothing and drops what was kept. Default 0. It may be called at any time.
func (srv *Server) KeepDialogue(n int) { srv.live.KeepDialogue(n) }

// LiveSessions returns the sessions of the server in the form that lets a
// live.Group combine servers.
func (srv *Server) LiveSessions() *live.Registry { return &srv.live }

var handlerName = "handler" // for Entry.SetWaiting

// show updates what Server.Sessions says about the session. now is the time at
// which the state begins; if it is zero, it is time.Now.
func (s *Session) show(state string, now time.Time) {
	s.entry.Change(state, now, func(d *live.Details) {
		d.Local, d.Remote = s.local, s.remote
		if s.proxied {
			d.Peer = s.netConn.RemoteAddr()
		}
		d.Name, d.Identity, d.Messages = s.helo.safe, s.identity, int32(s.messages)
		if s.tls != nil && d.TLS == "" {
			d.TLS = tls.VersionName(s.tls.Version) + " " + tls.CipherSuiteName(s.tls.CipherSuite)
		}
		d.MessageID, d.From, d.Recipients = "", "", 0
		if m := s.msg; m != nil {
			d.MessageID, d.From, d.Recipients = m.ID, m.From, int32(s.accepted)
		}
	})
}
