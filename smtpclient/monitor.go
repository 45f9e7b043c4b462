package smtpclient

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/live"
)

// errEnded is the error of a session that Transport.EndSession has ended.
var errEnded = errors.New("the session was ended by the operator")

// A monitor is what a Transport shows and counts of one of its sessions, and the
// way in which it ends the session. A nil monitor, that of a Client without a
// Transport, does nothing.
type monitor struct {
	t     *Transport
	entry live.Entry
	since time.Time // when the wait for the next reply began
	began time.Time // when the content was begun

	mu    sync.Mutex // guards the following fields, and the decision to close the connection
	ended bool       // EndSession was called
	keep  bool       // the connection must not be closed: see commit
}

// watchedBy makes a Transport show the session. The connection is open.
func (c *Client) watchedBy(t *Transport, conn net.Conn, id string) {
	m := &monitor{t: t, since: time.Now()}
	c.mon = m
	t.live.Open(&m.entry, id, c.cfg.Connector, conn.LocalAddr(), conn.RemoteAddr(), m.since, live.StateConnect, func() { t.endSession(c, conn) })
	m.entry.Change(live.StateConnect, m.since, func(d *live.Details) { d.Name = c.cfg.Host })
}

// endSession ends a session for EndSession, on any goroutine.
func (t *Transport) endSession(c *Client, conn net.Conn) {
	if t.pool.claim(c) {
		c.leave()
		return
	}
	m := c.mon
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	if !m.keep {
		conn.Close()
	}
}

// isEnded reports whether the session is to end.
func (m *monitor) isEnded() bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended
}

// isCut reports whether EndSession has closed the connection.
func (m *monitor) isCut() bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended && !m.keep
}

// commit is called before the last octets of a message are sent. From then on,
// the host may have the message, so EndSession does not close the connection: the
// reply is awaited, and the message is not sent twice. If EndSession was called
// before, the result is errEnded, and the message must not be completed.
func (m *monitor) commit() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return errEnded
	}
	m.keep = true
	return nil
}

// settle ends what commit began.
func (m *monitor) settle() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep = false
}

// close ends the entry of the session. EndSession then no longer closes the
// connection, which may have another owner (see Client.Detach).
func (m *monitor) close() {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.keep = true
	m.mu.Unlock()
	m.t.live.Close(&m.entry)
}

// sent notes the time at which octets are sent to the host.
func (m *monitor) sent(now time.Time) {
	if m != nil {
		m.since = now
	}
}

// in and out count octets.
func (m *monitor) in(n int) {
	if m != nil {
		m.entry.In.Add(int64(n))
	}
}

func (m *monitor) out(n int) {
	if m != nil {
		m.entry.Out.Add(int64(n))
	}
}

// await is called before the reply of a stage is read.
func (m *monitor) await(s stage) {
	if m == nil {
		return
	}
	if state := s.state(); state != "" {
		m.entry.Change(state, m.since, func(*live.Details) {})
	}
}

// replied counts a reply, and the time that it took.
func (m *monitor) replied(s stage, r reply, err error) {
	if m == nil {
		return
	}
	m.took(s)
	if err == nil {
		m.t.counters.reply(s, r)
	}
}

// took counts the time since the last step.
func (m *monitor) took(s stage) {
	if m == nil {
		return
	}
	now := time.Now()
	m.t.counters.durations[s].Observe(int64(now.Sub(m.since)))
	m.since = now
}

// content shows that the content is sent to n recipients, and notes the time.
func (m *monitor) content(n int) {
	if m != nil {
		m.began = m.since // of the reply before
		m.entry.Change(live.StateData, m.began, func(d *live.Details) { d.Recipients = int32(n) })
	}
}

// contentSent counts the time since content.
func (m *monitor) contentSent() {
	if m != nil {
		m.since = m.began
		m.took(stageContent)
	}
}

// show changes the state now, and the details.
func (m *monitor) show(state string, f func(*live.Details)) {
	if m != nil {
		m.entry.Change(state, time.Time{}, f)
	}
}

// message shows that the transaction of a message begins.
func (m *monitor) message(msg *Message) {
	m.show(live.StateMail, func(d *live.Details) { d.MessageID, d.From, d.Recipients = msg.ID, msg.From, 0 })
}

// idle shows that the session waits for its next message, after n of them.
func (m *monitor) idle(n int) {
	if m != nil {
		m.entry.Change(live.StateIdle, m.since, func(d *live.Details) { d.MessageID, d.From, d.Recipients, d.Messages = "", "", 0, int32(n) })
	}
}
