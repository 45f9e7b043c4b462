package live

import (
	"context"
	"time"
)

// Info describes one live session. Identity is the name of an account: show it
// only to operators. So is From, if reverse-paths are private at the site.
type Info struct {
	ID        string // unique in this process
	Connector string // name of the connector
	Local     string // address and port at this end
	// Remote is the address and port of the client (from the PROXY protocol or
	// XCLIENT, if there is a trusted proxy) or of the host that gets the mail.
	Remote string
	// Peer is the address and port of the other end of the connection itself, if
	// it is not Remote: that of the proxy.
	Peer string
	// Name is the name that the client gave in HELO or EHLO, encoded as in
	// headers and logs, or the name of the host that gets the mail.
	Name    string
	Started time.Time
	// State is one of the State constants, and StateSince is when it began.
	State      string
	StateSince time.Time
	// Waiting is the name of the agent that the session waits for, or "handler".
	// It is empty while no agent works.
	Waiting  string
	TLS      string // version and cipher suite; empty for plain text
	Identity string // the account, after AUTH; not for viewers

	// The current transaction; empty outside of one.
	MessageID  string
	From       string // the reverse-path
	Recipients int    // accepted so far

	Messages          int   // transactions of the session so far
	BytesIn, BytesOut int64 // received and sent, without the overhead of TLS
}

// The states of a session. What a session waits for in a state depends on its
// side: a server waits for the client's command, a client for the host's reply.
const (
	StateConnect   = "connect"     // client: the greeting has not come
	StateBanner    = "banner"      // server: the banner, and the wait for HELO or EHLO
	StateHelo      = "helo"        // HELO or EHLO
	StateTLS       = "tls"         // STARTTLS and the TLS handshake
	StateAuth      = "auth"        // AUTH
	StateMail      = "mail"        // after MAIL
	StateRcpt      = "rcpt"        // after RCPT
	StateData      = "data"        // DATA or BDAT: the content is received or sent
	StateEndOfData = "end of data" // the content is complete, the reply is not sent or received
	StateIdle      = "idle"        // between transactions
	StateRefused   = "refused"     // server: 554 instead of the banner, waits for QUIT
	StateTaken     = "taken over"  // server: an agent has the connection, as for ATRN
	StateQuit      = "quit"        // the session ends
)

// A Source has live sessions: a smtpserver.Server, a smtpclient.Transport, a
// routing.Router, or a [Group].
type Source interface {
	// Sessions lists the live sessions, the oldest first.
	Sessions() []Info
	// EndSession ends a session. It reports whether there is a session with
	// this ID. It does not wait for the end.
	EndSession(id string) bool
	// Watch sends the dialogue of the sessions that match f. See
	// Registry.Watch.
	Watch(ctx context.Context, f Filter) (<-chan Event, error)
	// Dialogue returns the lines that a session has kept. See Registry.Dialogue.
	Dialogue(id string) ([]Event, error)
	// KeepDialogue makes each session keep the last n bytes of its dialogue. See
	// Registry.KeepDialogue.
	KeepDialogue(n int)
}
