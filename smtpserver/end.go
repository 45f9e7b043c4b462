package smtpserver

import (
	"time"

	"github.com/emersion/go-smtp"
)

// endGrace is how long a session that Server.EndSession ends may take to send its
// last reply.
const endGrace = 10 * time.Second

// endByOperator is called for Server.EndSession, on any goroutine.
func (s *Session) endByOperator() {
	if s.ending.Swap(true) {
		return
	}
	s.interrupt(interruptEnd)
	s.mu.Lock()
	if s.wakePause != nil {
		close(s.wakePause)
		s.wakePause = nil
	}
	s.mu.Unlock()
	time.AfterFunc(endGrace, s.cutOff)
}

// cutOff closes the connection of a session that is to end, unless the session
// has received a whole message: its client would send it again, although the
// Handler may have accepted it. The session then ends after its reply.
func (s *Session) cutOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.complete {
		return
	}
	s.cut = true
	s.cancel()
	s.netConn.Close()
}

// endable returns a channel that is closed when EndSession is called, for a pause
// of the session.
func (s *Session) endable() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{})
	if s.ending.Load() {
		close(c)
		return c
	}
	s.wakePause = c
	return c
}

// beginComplete notes that the agent or the Handler that is called next must not
// lose its client: the end of data was received, or an agent takes the connection
// over. It returns false if cutOff was first. The client then gets no reply, and
// the message is not accepted.
func (s *Session) beginComplete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complete = !s.cut
	return s.complete
}

// endComplete ends what beginComplete began. If the session is to end, cutOff
// still does nothing: the reply was not sent yet, and endGrace limits the time for
// that.
func (s *Session) endComplete() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complete = s.ending.Load()
}

// byeEnded is the last reply of a session that Server.EndSession ends.
func (s *Session) byeEnded() error {
	return s.bye(421, smtp.EnhancedCode{4, 3, 2}, "Session was ended by the operator")
}
