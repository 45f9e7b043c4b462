package smtpserver

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/emersion/go-smtp"
)

// Serve accepts connections on l until Shutdown, Close or an error of l's.
// It may be called for several listeners. It always returns an error, and
// closes l.
func (srv *Server) Serve(l net.Listener) error {
	if err := srv.Validate(); err != nil {
		l.Close()
		return err
	}
	srv.prepare()
	if !srv.addListener(&l) {
		l.Close()
		return ErrServerClosed
	}
	defer srv.removeListener(&l)
	var delay time.Duration
	for {
		c, err := l.Accept()
		if err == nil {
			delay = 0
			if s := srv.newSession(c); s != nil {
				go s.serve()
			}
			continue
		}
		if srv.closing.Load() {
			return ErrServerClosed
		}
		var ne net.Error
		if errors.Is(err, net.ErrClosed) || !errors.As(err, &ne) {
			return err
		}
		// Out of files, or the client has gone again: it passes.
		delay = min(max(5*time.Millisecond, 2*delay), time.Second)
		srv.logLine(slog.LevelError, "accept", slog.Any("error", err), slog.Duration("retry", delay))
		select {
		case <-time.After(delay):
		case <-srv.ctx.Done():
		}
	}
}

// ListenAndServe listens on addr and serves; "" is ":25", or ":465" with
// TLSImplicit.
func (srv *Server) ListenAndServe(addr string) error {
	if addr == "" {
		addr = ":25"
		if srv.TLSMode == TLSImplicit {
			addr = ":465"
		}
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return srv.Serve(l)
}

// Shutdown closes the listeners, lets sessions finish the command or message
// in hand, answers the next with 421 and closes. When ctx ends first, the
// rest is closed hard and the context's error returned.
func (srv *Server) Shutdown(ctx context.Context) error {
	idle := srv.stop()
	srv.mu.Lock()
	for s := range srv.sessions {
		s.interrupt()
	}
	srv.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		srv.abort()
		return ctx.Err()
	}
}

// Close closes listeners and connections at once, and returns when the
// sessions have ended, which takes as long as an agent or the Handler that is
// at work takes to heed its context.
func (srv *Server) Close() error {
	idle := srv.stop()
	srv.abort()
	<-idle
	return nil
}

// abort closes all connections and ends all contexts.
func (srv *Server) abort() {
	srv.cancel()
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for s := range srv.sessions {
		s.netConn.Close()
	}
}

// stop lets no more sessions in. The channel is closed when none is left.
func (srv *Server) stop() <-chan struct{} {
	srv.prepare()
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if !srv.closing.Swap(true) {
		srv.shut()
		srv.idle = make(chan struct{})
		if len(srv.sessions) == 0 {
			close(srv.idle)
		}
	}
	for l := range srv.listeners {
		(*l).Close()
	}
	return srv.idle
}

// prepare works out what does not change any more once the server serves.
func (srv *Server) prepare() {
	srv.once.Do(func() {
		srv.limits = srv.Limits.effective()
		srv.hostname = srv.Hostname
		if srv.hostname == "" {
			srv.hostname, _ = os.Hostname() // without one, the next line helps
		}
		if srv.hostname == "" {
			srv.hostname = "localhost"
		}
		srv.tls = srv.TLSConfig
		if srv.InsecureOldTLS {
			srv.tls = withOldTLS(srv.TLSConfig)
		}
		srv.enhanced = srv.has(ExtEnhancedStatusCodes)
		srv.ids = newIDSource()
		srv.ctx, srv.cancel = context.WithCancel(context.Background())
		srv.open, srv.shut = context.WithCancel(srv.ctx)
		srv.listeners = make(map[*net.Listener]struct{})
		srv.sessions = make(map[*Session]struct{})
	})
}

func (srv *Server) addListener(l *net.Listener) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closing.Load() {
		return false
	}
	srv.listeners[l] = struct{}{}
	return true
}

func (srv *Server) removeListener(l *net.Listener) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	delete(srv.listeners, l)
	(*l).Close()
}

func (srv *Server) maxHold() time.Duration {
	if srv.MaxHold > 0 {
		return srv.MaxHold
	}
	return 24 * time.Hour
}

// overloaded says whether connections run short.
func (srv *Server) overloaded() bool {
	l := &srv.limits
	return l.Overload < 100 && l.Connections < noLimitInt &&
		srv.current.Load() >= int64(l.Connections)*int64(l.Overload)/100
}

// newSession makes a session of a connection; nil when the server closes.
func (srv *Server) newSession(c net.Conn) *Session {
	s := &Session{srv: srv, lim: &srv.limits, netConn: c, started: time.Now()}
	s.id = srv.ids.next()
	s.setConn(c)
	s.remote, s.local = c.RemoteAddr(), c.LocalAddr()
	s.peerIP = addrIP(s.remote)
	s.remoteIP = s.peerIP
	s.maxSize = srv.limits.MessageSize
	s.bare = srv.BareBytes
	s.ctx, s.cancel = context.WithCancel(srv.ctx)

	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closing.Load() {
		s.cancel()
		c.Close()
		return nil
	}
	srv.sessions[s] = struct{}{}
	srv.current.Add(1)
	srv.counters.sessions.Add(1)
	return s
}

func (srv *Server) endSession(s *Session) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	delete(srv.sessions, s)
	srv.current.Add(-1)
	if srv.closing.Load() && len(srv.sessions) == 0 {
		close(srv.idle)
	}
}

// setConn makes c the connection from now on.
func (s *Session) setConn(c net.Conn) {
	s.conn = c
	s.in.reset(c)
}

// serve is the session's goroutine.
func (s *Session) serve() {
	defer s.srv.endSession(s)
	defer s.cancel()
	defer s.netConn.Close()
	defer func() {
		if recover() != nil { // in a log, while it was told of a panic
			s.srv.counters.panics.Add(1)
		}
	}()
	err := s.guard(s.converse)
	s.in.drop()
	s.guard(func() error {
		s.closeWith(err)
		return nil
	})
}

// converse leads the session from its first to its last byte.
func (s *Session) converse() error {
	if within(s.peerIP, s.srv.ProxyFrom) {
		if err := s.readProxy(); err != nil {
			return err
		}
	}
	s.frontIP = s.remoteIP
	s.lfOnly = within(s.remoteIP, s.srv.BareLFFrom)
	s.traceConnect()
	if v := s.admit(); v != nil {
		s.noteRefusal(v)
		if s.srv.TLSMode != TLSImplicit { // no handshake for that
			s.reply(v.reply.Code, v.reply.EnhancedCode, v.reply.Message)
		}
		return errClosing
	}
	defer s.leave()
	if s.srv.TLSMode == TLSImplicit {
		if err := s.handshake(); err != nil {
			return err
		}
	}
	err := s.guard(s.banner)
	if err == nil {
		err = s.loop()
	}
	s.guard(func() error {
		s.reset()
		return nil
	})
	s.guard(s.disconnect)
	return err
}

// disconnect tells agents that the session of this client is over.
func (s *Session) disconnect() error {
	if !s.begun {
		return nil
	}
	s.begun = false
	for i := range s.srv.Agents {
		if a := &s.srv.Agents[i]; a.Disconnect != nil {
			s.asking = a.Name
			a.Disconnect(s.ctx, s)
		}
	}
	s.asking = ""
	return nil
}

// closeWith sends what is left to say, and ends the connection such that the
// client can read it.
func (s *Session) closeWith(err error) {
	if errors.Is(err, errQuit) || errors.Is(err, errClosing) {
		if s.flush() == nil && !errors.Is(err, errQuit) {
			s.linger()
		}
	}
	if s.tls != nil {
		s.conn.Close() // with its close_notify
	}
	s.traceDisconnect(err)
	s.logEnd(err)
}

// linger reads on for a moment after the last reply. A connection that is
// closed with unread input is reset, and the client might never see why.
func (s *Session) linger() {
	const most, wait = 1 << 20, 500 * time.Millisecond
	tcp, ok := s.netConn.(*net.TCPConn)
	if !ok || s.tls != nil || tcp.CloseWrite() != nil {
		return
	}
	s.netConn.SetReadDeadline(time.Now().Add(wait))
	for n := 0; n < most && s.in.fill(inputSize) == nil; {
		n += len(s.in.buffered())
		s.in.drop()
	}
	s.in.drop()
}

// tarpit holds the next reply back.
func (s *Session) tarpit() error { return s.pause(s.lim.Tarpit) }

func (s *Session) pause(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	if err := s.flush(); err != nil { // what was earned before is not held back
		return err
	}
	s.in.rest()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.srv.open.Done():
		return s.bye(421, smtp.EnhancedCode{4, 3, 2}, "Service is shutting down")
	}
}

// addrIP is the IP address of a, or the zero Addr.
func addrIP(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		ip, _ := netip.AddrFromSlice(t.IP)
		return ip.Unmap()
	}
	if a == nil {
		return netip.Addr{}
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap.Addr().Unmap()
}
