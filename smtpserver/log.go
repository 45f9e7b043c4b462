package smtpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/site"
)

func (srv *Server) name() string {
	if srv.Name == "" {
		return "smtp"
	}
	return srv.Name
}

// logLine writes to the Logger, if there is one.
func (srv *Server) logLine(level slog.Level, msg string, attrs ...any) {
	if srv.Logger == nil {
		return
	}
	srv.Logger.Log(context.Background(), level, msg, append([]any{slog.String("connector", srv.name())}, attrs...)...)
}

func (s *Session) log(level slog.Level, msg string, attrs ...any) {
	if s.srv.Logger == nil || !s.srv.Logger.Enabled(s.ctx, level) {
		return
	}
	all := append([]any{slog.String("session", s.entry.ID()), slog.String("client", s.remote.String())}, attrs...)
	s.srv.logLine(level, msg, all...)
}

// debug returns the logger for lines about the session that belong to a part of the
// relay, or nil if they are not logged.
func (s *Session) debug(part string) *slog.Logger {
	log := site.Debug(s.srv.Logger, part)
	if log == nil {
		return nil
	}
	return log.With(slog.String("connector", s.srv.name()), slog.String("session", s.entry.ID()), slog.String("client", s.remote.String()))
}

// logEnd writes the log line of the session.
func (s *Session) logEnd(err error) {
	end := "quit"
	switch {
	case s.ending.Load() && !errors.Is(err, errQuit):
		end = "ended by the operator"
	case errors.Is(err, errClosing):
		end = err.Error()
	case errors.Is(err, io.EOF):
		end = "closed by the client"
	case !errors.Is(err, errQuit):
		end = err.Error()
	}
	attrs := []any{slog.String("helo", s.helo.safe), slog.String("end", end),
		slog.Int("transactions", s.messages), slog.Int64("bytes", s.bytes),
		slog.Duration("time", time.Since(s.started).Round(time.Millisecond))}
	if s.tls != nil {
		attrs = append(attrs, slog.String("tls", tls.VersionName(s.tls.Version)), slog.String("cipher", tls.CipherSuiteName(s.tls.CipherSuite)))
	}
	s.log(slog.LevelInfo, "session", attrs...)
}
