package mtasts

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bridgehead-mail/bridgehead/internal/addr"
	"github.com/bridgehead-mail/bridgehead/internal/durable"
)

// A file in Dir has the name DOMAIN.mta-sts and this content:
//
//	bridgehead-mta-sts: 1
//	id: 20260101T000000
//	fetched: 2026-01-02T03:04:05Z
//
//	version: STSv1
//	mode: enforce
//	...
const (
	suffix      = ".mta-sts"
	fileVersion = "bridgehead-mta-sts: 1"
)

// path returns the file name of a domain. Policy has checked the domain: it
// contains only letters, digits, dots, hyphens and underscores.
func (c *Cache) path(domain string) string { return filepath.Join(c.Dir, domain+suffix) }

// save writes an entry. The file is never incomplete.
func (c *Cache) save(domain string, e *entry) error {
	if c.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(c.Dir, 0o750); err != nil {
		return err
	}
	_, err := durable.WriteFile(c.path(domain), 0o600, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s\nid: %s\nfetched: %s\n\n%s", fileVersion, e.id, e.fetched.UTC().Format(time.RFC3339), e.policy.Text)
		return err
	})
	return err
}

// load reads an entry. It returns nil if there is none or it is not valid; the
// policy is then fetched again.
func (c *Cache) load(domain string) *entry {
	b, err := os.ReadFile(c.path(domain))
	if err != nil || len(b) > maxPolicy+1024 {
		return nil
	}
	e, err := parseEntry(string(b))
	if err != nil {
		return nil
	}
	return e
}

func parseEntry(text string) (*entry, error) {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) != 3 || lines[0] != fileVersion {
		return nil, errors.New("not a policy file of version 1")
	}
	e := &entry{}
	var err error
	id, okID := strings.CutPrefix(lines[1], "id: ")
	fetched, okFetched := strings.CutPrefix(lines[2], "fetched: ")
	if !okID || !okFetched || !validID(id) {
		return nil, errors.New("missing or invalid id, or missing time")
	}
	e.id = id
	if e.fetched, err = time.Parse(time.RFC3339, fetched); err != nil {
		return nil, err
	}
	if e.fetched.After(time.Now().Add(time.Minute)) {
		return nil, errors.New("the time of the fetch is in the future")
	}
	e.policy, err = ParsePolicy(body)
	return e, err
}

// saved returns the domains that have a file.
func (c *Cache) saved() []string {
	if c.Dir == "" {
		return nil
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return nil // nothing saved yet
	}
	var domains []string
	for _, e := range entries {
		if d, ok := strings.CutSuffix(e.Name(), suffix); ok {
			if name, err := addr.HostName(d); err == nil && name == d {
				domains = append(domains, d)
			}
		}
	}
	return domains
}

func (c *Cache) remove(domain string) {
	if c.Dir == "" {
		return
	}
	if err := os.Remove(c.path(domain)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return // the entry has expired; load detects this again
	}
}
