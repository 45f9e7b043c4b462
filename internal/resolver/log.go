package resolver

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

type loggerKey struct{}

type sourceKey struct{}

// WithLogger returns a context in which [Lookup] logs each lookup to l at
// slog.LevelDebug. If l is nil, it returns ctx.
func WithLogger(ctx context.Context, l *slog.Logger) context.Context {
	if l == nil {
		return ctx
	}
	return context.WithValue(ctx, loggerKey{}, l)
}

// LoggerOf returns the logger of WithLogger, or nil.
func LoggerOf(ctx context.Context) *slog.Logger {
	l, _ := ctx.Value(loggerKey{}).(*slog.Logger)
	return l
}

// SetSource says where a Resolver finds the answer: "cache", "servers" or "system".
// Lookup logs it.
func SetSource(ctx context.Context, source string) {
	if s, ok := ctx.Value(sourceKey{}).(*atomic.Pointer[string]); ok {
		found := source // a copy, so that the parameter does not escape
		s.Store(&found)
	}
}

// logged is lookup, and logs the result.
func logged(ctx context.Context, l *slog.Logger, r Resolver, name string, t Type) (*Answer, error) {
	source, began := new(atomic.Pointer[string]), time.Now()
	a, err := lookup(context.WithValue(ctx, sourceKey{}, source), r, name, t)
	attrs := []slog.Attr{slog.String("name", name), slog.String("type", t.String()), slog.Duration("took", time.Since(began).Round(time.Microsecond))}
	if s := source.Load(); s != nil {
		attrs = append(attrs, slog.String("source", *s))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	} else {
		attrs = append(attrs, slog.String("answer", a.text()), slog.Bool("secure", a.Secure))
	}
	l.LogAttrs(ctx, slog.LevelDebug, "DNS lookup", attrs...)
	return a, err
}

// Limits of the text of an answer.
const (
	maxTextRecords = 8
	maxTextRecord  = 200 // bytes
)

// text returns the first records of the answer, for a log.
func (a *Answer) text() string {
	var all []string
	n := 0
	add := func(record string) {
		if n++; n <= maxTextRecords {
			if len(record) > maxTextRecord {
				record = record[:maxTextRecord] + "..."
			}
			all = append(all, record)
		}
	}
	for _, addr := range a.Addrs {
		add(addr.String())
	}
	for _, mx := range a.MX {
		add(fmt.Sprintf("%d %s", mx.Preference, mx.Host))
	}
	for _, name := range a.Names {
		add(name)
	}
	for _, text := range a.TXT {
		add(text)
	}
	for range a.TLSA {
		add("TLSA")
	}
	if n > maxTextRecords {
		all = append(all, fmt.Sprintf("and %d more", n-maxTextRecords))
	}
	return strings.Join(all, ", ")
}
