package smtpserver

import (
	"cmp"
	"slices"
	"time"

	"github.com/emersion/go-smtp"
)

// The places of a server are the connections that Limits.Connections allows.
// When most places are taken (Limits.OverloadPercent), the server waits less
// for each client. When all are taken and one more client connects, the server
// ends slow sessions.

const (
	overloadWait   = 10 * time.Second // Postfix: smtpd_timeout under stress
	overloadErrors = 1                // Postfix: smtpd_hard_error_limit under stress
	overloadPause  = time.Second      // longest delay of a reply under overload

	// commandCredit is the wait that a command allows if it advances the
	// session: more than a round trip takes.
	commandCredit = 2 * time.Second
)

// overloaded reports whether so many places are taken that
// Limits.OverloadPercent applies.
func (srv *Server) overloaded() bool {
	l := &srv.limits
	return l.OverloadPercent < 100 && l.Connections < noLimitInt &&
		srv.places.Load() >= int64(l.Connections)*int64(l.OverloadPercent)/100
}

// Overloaded reports whether so many connections are open that the server
// shortens its waits (Limits.OverloadPercent). Agents that delay replies should
// not do so then, because each session uses a connection that another client
// needs.
func (s *Session) Overloaded() bool { return s.srv.overloaded() }

// waitAtMost returns how long the server may wait: d or, under overload, at most
// overloadWait.
func (s *Session) waitAtMost(d time.Duration) time.Duration {
	if s.srv.overloaded() {
		return min(d, overloadWait)
	}
	return d
}

// takePlace takes a place for a session, if there is one.
func (srv *Server) takePlace() bool {
	if srv.places.Add(1) > int64(srv.limits.Connections) && srv.limits.Connections < noLimitInt {
		srv.places.Add(-1)
		return false
	}
	return true
}

// leavePlace gives the place of a session to others. The session may still send
// its last reply.
func (s *Session) leavePlace() {
	if s.hasPlace {
		s.hasPlace = false
		s.srv.places.Add(-1)
	}
}

// makeRoom is called for each client that gets no place. At most once per
// second, it ends as many slow sessions as clients got no place, the slowest
// first. A session is slow if its client has made the server wait for
// overloadWait longer than its input allows (see movement). Other sessions are
// never ended.
func (srv *Server) makeRoom() {
	if srv.limits.OverloadPercent >= 100 {
		return
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.turnedAway++
	now := time.Now()
	if now.Sub(srv.roomMade) < time.Second {
		return
	}
	srv.roomMade = now
	type slowSession struct {
		s    *Session
		late time.Duration
	}
	var slow []slowSession
	for s := range srv.sessions {
		if late := s.late(now); late >= overloadWait {
			slow = append(slow, slowSession{s, late})
		}
	}
	slices.SortFunc(slow, func(a, b slowSession) int { return cmp.Compare(b.late, a.late) })
	for _, v := range slow[:min(len(slow), srv.turnedAway)] {
		v.s.interrupt(interruptSlow)
	}
	srv.turnedAway = 0
}

// waitKind says what a session waits for.
type waitKind uint8

const (
	notWaiting      waitKind = iota // it works
	waitBanner                      // for the time of the banner: Shutdown may interrupt
	waitCommand                     // for a command or a PROXY header: Shutdown may interrupt
	waitContent                     // for content
	waitHandshake                   // for the TLS handshake
	waitReadReplies                 // for the client to read replies
)

// movement measures how late a client is: how long the server has waited for
// it, less what the client's input allows. Content allows the time that it
// takes at Limits.DataRate, and a command that advances the session (to another
// state, to one more recipient) allows commandCredit. So neither single bytes
// nor NOOP commands keep a session from becoming slow, and no honest client
// becomes slow because it has a lot to send.
type movement struct {
	kind  waitKind
	since time.Time     // start of the wait
	late  time.Duration // before this wait
	ended bool          // by makeRoom
}

// late returns how late the client of a session is. It is 0 while the session
// does not wait for the client.
func (s *Session) late(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wait.kind <= waitBanner {
		return 0
	}
	return s.wait.late + now.Sub(s.wait.since)
}

// beginWait marks the session as waiting since now. The caller has set the
// deadlines of the connection, which interrupt changes.
func (s *Session) beginWait(kind waitKind, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait.late = max(0, s.wait.late-s.credit)
	s.credit = 0
	s.wait.kind, s.wait.since = kind, now
}

// endWait ends what beginWait began.
func (s *Session) endWait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wait.kind > waitBanner {
		s.wait.late += time.Since(s.wait.since)
	}
	s.wait.kind = notWaiting
	if s.interrupted {
		s.readDeadline, s.writeDeadline = time.Time{}, time.Time{} // interrupt has changed them
	}
	s.tooSlow = s.interrupted && s.wait.ended
	s.interrupted, s.wait.ended = false, false
}

// An interruption says which waits end, and why.
type interruption uint8

const (
	interruptIdle interruption = iota // Shutdown: the wait for a command or the banner
	interruptSlow                     // makeRoom: every wait
	interruptEnd                      // EndSession: every wait
)

// interrupt wakes the session if it waits.
func (s *Session) interrupt(why interruption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	past := time.Unix(1, 0)
	switch {
	case s.wait.kind == waitBanner, s.wait.kind == waitCommand:
		s.netConn.SetReadDeadline(past)
	case s.wait.kind == notWaiting || why == interruptIdle:
		return
	case s.wait.kind == waitReadReplies:
		s.netConn.SetDeadline(past)
	default:
		s.netConn.SetReadDeadline(past)
	}
	s.interrupted = true
	s.wait.ended = s.wait.ended || why == interruptSlow
}

// endSlow ends a session that makeRoom has chosen.
func (s *Session) endSlow() error {
	return s.bye(421, smtp.EnhancedCode{4, 3, 2}, "Server is busy, and this session is too slow")
}

// contentCredit returns the wait that n bytes of content excuse.
func (s *Session) contentCredit(n int) time.Duration {
	rate := s.lim.DataRate
	if rate == 0 { // no limit
		rate = defaultDataRate
	}
	return time.Duration(n) * time.Second / time.Duration(rate)
}

// stage is the progress of a session. A command that changes it moves the
// session on.
type stage struct {
	state    state
	tls      bool
	identity string
	accepted int
}

func (s *Session) stage() stage { return stage{s.state, s.tls != nil, s.identity, s.accepted} }
