package program

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
)

// candidate returns the accepted domains and the routing table of a configuration
// file that is not in use. args are those of the gateway.
func (p *Program) candidate(args []string, path string, log *slog.Logger) (*compare.Candidate, error) {
	l := p.parse(append(slices.Clone(args), "-config", path), io.Discard)
	if l.unread {
		return nil, l.err()
	}
	k := newParts(l, log).kit(l)
	rules := l.own.Build(k)
	if err := k.err(); err != nil {
		return nil, err
	}
	return &compare.Candidate{Name: path, Table: rules.Table, Domains: rules.Domains}, nil
}

// compare writes what the settings in another file would change, by the mail of the
// last 24 hours in the tracking log. It does not need a running gateway and does not
// open the spool.
func (p *Program) compare(l *loaded, args []string, stdout io.Writer) error {
	log := slog.New(slog.DiscardHandler)
	relay, _, err := p.assemble(l, log)
	if err != nil {
		return err
	}
	next, err := p.candidate(args, l.other, log)
	if err != nil {
		return err
	}
	result, err := (&compare.Comparison{Gateway: relay, Candidate: *next}).Log(context.Background(), filepath.Join(l.logs(), "tracking"), time.Time{}, time.Time{})
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(stdout, result)
	return err
}
