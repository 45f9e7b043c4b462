package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/bridgehead-mail/bridgehead/policy/gateway"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/compare"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// candidate returns the accepted domains and the routing table of a configuration
// file that is not in use.
func candidate(path string) (*compare.Candidate, error) {
	c, err := load(path)
	if err != nil {
		return nil, err
	}
	r, err := newRules(c, forCheck(c))
	if err != nil {
		return nil, err
	}
	domains := c.accepted(nil)
	return &compare.Candidate{Name: path, Table: r.table, Domains: domains}, c.err()
}

// candidateFile is candidate, or nil if there is no file.
func candidateFile(path string) (*compare.Candidate, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return candidate(path)
}

// compareFiles writes what the file changed would change, by the mail of the last
// 24 hours in the tracking log of the file in use. It does not need a running edge
// and does not open the spool.
func compareFiles(ctx context.Context, w io.Writer, inUse, changed string) error {
	c, err := load(inUse)
	if err != nil {
		return err
	}
	r, err := newRules(c, forCheck(c))
	if err != nil {
		return err
	}
	next, err := candidate(changed)
	if err != nil {
		return err
	}
	relay := &gateway.Gateway{Hostname: c.Hostname, Servers: []*smtpserver.Server{r.internet, r.organization},
		Queue: &queue.Queue{Deliverer: &routing.Router{Hostname: c.Hostname, Table: r.table}}}
	result, err := (&compare.Comparison{Gateway: relay, Candidate: *next}).Log(ctx, filepath.Join(c.Logs, "tracking"), time.Time{}, time.Time{})
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(w, result)
	return err
}
