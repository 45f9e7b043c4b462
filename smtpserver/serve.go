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

	"github.com/bridgehead-mail/bridgehead/internal/live"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/internal/site"
)

// Serve accepts connections on l until Shutdown or Close is called or Accept
// fails permanently. It may be called for several listeners at the same time.
// It calls Validate first. It always closes l and returns an error that is not
// nil: ErrServerClosed after Shutdown or Close.
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
		// A temporary error: too many open files, or the client has closed
		// the connection.
		delay = min(max(5*time.Millisecond, 2*delay), time.Second)
		srv.logLine(slog.LevelError, "accept failed", slog.Any("error", err), slog.Duration("retry", delay))
		select {
		case <-time.After(delay):
		case <-srv.ctx.Done():
		}
	}
}

// ListenAndServe listens on the TCP address addr and calls Serve. If addr is
// "", it uses ":25", or ":465" with TLSImplicit.
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

// Shutdown closes the listeners and lets each session finish its current
// command or message. It then replies 421 to the next command and closes the
// connection. If ctx ends first, Shutdown closes the remaining connections at
// once and returns the error of ctx.
func (srv *Server) Shutdown(ctx context.Context) error {
	idle := srv.stop()
	srv.mu.Lock()
	for s := range srv.sessions {
		s.interrupt(interruptIdle)
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

// Close closes all listeners and connections at once and ends the contexts of
// the sessions. It returns when all sessions have ended. If an agent or the
// Handler is running, Close waits until it returns.
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

// stop closes the listeners and accepts no more sessions. The channel is closed
// when there are no sessions left.
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

// prepare sets the fields that do not change while the server serves.
func (srv *Server) prepare() {
	srv.once.Do(func() {
		srv.limits = srv.Limits.effective()
		srv.hostname = srv.Hostname
		if srv.hostname == "" {
			srv.hostname, _ = os.Hostname() // on error, the next lines set a default
		}
		if srv.hostname == "" {
			srv.hostname = "localhost"
		}
		srv.tls = srv.TLSConfig
		if srv.InsecureOldTLS {
			srv.tls = withOldTLS(srv.TLSConfig)
		}
		if srv.logins = srv.LoginLimit; srv.logins == nil {
			srv.logins = new(LoginLimit)
		}
		if srv.content = srv.ContentBudget; srv.content == nil {
			srv.content = new(ContentBudget)
		}
		srv.limits.MessageSize = min(srv.limits.MessageSize, srv.content.max())
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

// newSession makes a session for a connection. It returns nil if the server is
// closing.
func (srv *Server) newSession(c net.Conn) *Session {
	s := &Session{srv: srv, lim: &srv.limits, netConn: c, started: time.Now()}
	s.in.n = &s.entry.In
	s.setConn(c)
	s.remote, s.local = c.RemoteAddr(), c.LocalAddr()
	s.peerIP = addrIP(s.remote)
	s.remoteIP = s.peerIP
	s.maxSize = srv.limits.MessageSize
	s.bare = srv.BareBytes
	s.ctx, s.cancel = context.WithCancel(resolver.WithLogger(srv.ctx, site.Debug(srv.Logger, site.PartDNS)))

	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closing.Load() {
		s.cancel()
		c.Close()
		return nil
	}
	s.hasPlace = srv.takePlace()
	srv.sessions[s] = struct{}{}
	srv.live.Open(&s.entry, srv.ids.next(), srv.name(), s.local, s.remote, s.started, live.StateBanner, s.endByOperator)
	srv.current.Add(1)
	srv.counters.sessions.Add(1)
	return s
}

func (srv *Server) endSession(s *Session) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	s.leavePlace()
	delete(srv.sessions, s)
	srv.live.Close(&s.entry)
	srv.current.Add(-1)
	if srv.closing.Load() && len(srv.sessions) == 0 {
		close(srv.idle)
	}
}

// setConn sets the connection of the session to c.
func (s *Session) setConn(c net.Conn) {
	s.conn = c
	s.in.reset(c)
}

// serve runs the session. It is the session's goroutine.
func (s *Session) serve() {
	defer s.srv.endSession(s)
	defer s.cancel()
	defer s.netConn.Close()
	defer func() {
		if recover() != nil { // in the logger, while it logged another panic
			s.srv.counters.panics.Add(1)
		}
	}()
	err := s.guard(s.runSession)
	s.in.drop()
	s.guard(func() error {
		s.closeWith(err)
		return nil
	})
}

// runSession runs the session from the PROXY header to the end of the
// connection.
func (s *Session) runSession() error {
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
		if s.srv.TLSMode != TLSImplicit { // a handshake would cost too much
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

// disconnect calls Disconnect of all agents, if Connect was called.
func (s *Session) disconnect() error {
	if !s.begun {
		return nil
	}
	s.begun = false
	for i := range s.srv.Agents {
		if a := &s.srv.Agents[i]; a.Disconnect != nil {
			s.entry.SetWaiting(&a.Name)
			a.Disconnect(s.ctx, s)
		}
	}
	s.entry.SetWaiting(nil)
	return nil
}

// closeWith sends the remaining replies, and closes the connection in such a
// way that the client can read them.
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

// linger reads input for a short time after the last reply. If a connection is
// closed with unread input, TCP resets it, and the client may lose the reply.
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

// tarpit delays the next reply.
func (s *Session) tarpit() error { return s.pause(s.lim.Tarpit) }

func (s *Session) pause(d time.Duration) error {
	if s.srv.overloaded() {
		d = min(d, overloadPause)
	}
	if d <= 0 {
		return nil
	}
	if err := s.flush(); err != nil { // earlier replies are not delayed
		return err
	}
	s.in.rest()
	t := time.NewTimer(d)
	defer t.Stop()
	ended := s.endable()
	select {
	case <-t.C:
		return nil
	case <-ended:
		return s.byeEnded()
	case <-s.srv.open.Done():
		return s.bye(421, smtp.EnhancedCode{4, 3, 2}, "Service is shutting down")
	}
}

// addrIP returns the IP address of a, or the zero Addr.
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
