package spf

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/internal/resolver"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/routing/dnstest"
)

// This is the test suite of the RFC, from Debian's package python3-spf. All cases
// run with the zone data as the resolver, through DNS messages, and with the test
// server as the resolver.
func TestRFC7208Suite(t *testing.T) {
	for _, s := range loadSuite(t) {
		t.Run(s.Description, func(t *testing.T) {
			s.run(t, "zone data", suiteZone(s.Zone))
			server := s.serve(t)
			defer server.Close()
			s.run(t, "DNS", &routing.DNSResolver{Servers: []string{"ns"}, Dial: server.Dial})
			s.run(t, "server", server)
		})
	}
}

func (s *suiteSection) run(t *testing.T, how string, dns Resolver) {
	for id, c := range s.Tests {
		checker := &Checker{Resolver: dns}
		v := checker.Check(t.Context(), netip.MustParseAddr(c.Host), c.Helo, c.MailFrom)
		if !slices.Contains(c.Result, v.Result) {
			t.Errorf("%s, %s: %s (%v), want %v: %s", id, how, v.Result, v.Err, c.Result, c.Description)
		}
		if want := strings.TrimSuffix(c.Explanation, "DEFAULT"); v.Result == Fail && c.Explanation != "" && v.Explanation != want {
			t.Errorf("%s, %s: explanation %q, want %q", id, how, v.Explanation, want)
		}
	}
}

// serve starts an in-memory DNS server with the zone data.
func (s *suiteSection) serve(t *testing.T) *dnstest.Server {
	server, err := dnstest.InMemory()
	if err != nil {
		t.Fatal(err)
	}
	for name, records := range s.Zone {
		silent := map[string]bool{"TXT": true, "A": true, "AAAA": true, "MX": true, "PTR": true}
		for _, r := range records {
			if r.Type == "TIMEOUT" { // queries for types that are not listed before it get no answer
				for kind, is := range silent {
					if is {
						server.Fault(name, kind, servfail)
					}
				}
				continue
			}
			silent[r.Type] = false
			if err := server.Add(masterFile(name, r)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return server
}

// masterFile returns a record as a line of a master file.
func masterFile(name string, r suiteRecord) string {
	data := r.Data
	switch r.Type {
	case "TXT":
		data = ""
		for rest := r.Data; rest != "" || data == ""; {
			n := min(len(rest), 200)
			data += ` "` + escape(rest[:n]) + `"`
			rest = rest[n:]
		}
	case "MX":
		data = fmt.Sprintf("%d %s.", r.Pref, strings.TrimSuffix(r.Data, "."))
	case "PTR", "CNAME":
		data = strings.TrimSuffix(r.Data, ".") + "."
	}
	return escape(name) + ". " + r.Type + " " + data
}

// escape escapes octets for a master file, in the form that package dns uses.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case strings.IndexByte(` '@;()"\`, c) >= 0:
			b.Write([]byte{'\\', c})
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

type suiteSection struct {
	Description string
	Tests       map[string]struct {
		Description, Host, Helo, MailFrom, Explanation string
		Result                                         []Result
	}
	Zone map[string][]suiteRecord
}

type suiteRecord struct {
	Type string // TXT, A, AAAA, MX, PTR, CNAME, or TIMEOUT: queries for types that are not listed before it get no answer
	Data string
	Pref uint16
}

func loadSuite(t *testing.T) (sections []suiteSection) {
	python := peers.Need(t, "/usr/bin/python3") // Debian's own, which sees Debian's modules
	cmd := exec.Command(python, "-c", suiteToJSON, "/usr/share/doc/python3-spf/rfc7208-tests.yml.gz")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		peers.Need(t, "the RFC 7208 suite of python3-spf (with python3-yaml)")
		t.Fatalf("%v: %s", err, &stderr)
	}
	if err := json.Unmarshal(out, &sections); err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, s := range sections {
		cases += len(s.Tests)
	}
	if len(sections) != 16 || cases < 200 {
		t.Errorf("the suite has %d sections and %d cases: is the file complete?", len(sections), cases)
	}
	t.Logf("peer: the RFC 7208 suite of python3-spf: %d cases", cases)
	return sections
}

const suiteToJSON = `
import gzip, json, sys, yaml
out = []
for doc in yaml.safe_load_all(gzip.open(sys.argv[1])):
    zone = {}
    for name, entries in doc['zonedata'].items():
        records, typed = zone.setdefault(name.lower(), []), any(isinstance(e, dict) and 'TXT' in e for e in entries)
        for e in entries:
            if not isinstance(e, dict):
                records.append({'Type': 'TIMEOUT'})
                continue
            for kind, value in e.items():
                if kind == 'SPF' and typed or value == 'NONE':
                    continue
                if kind == 'SPF':
                    kind = 'TXT'
                pref = 0
                if kind == 'MX':
                    pref, value = value
                if isinstance(value, list):
                    value = ''.join(value)
                records.append({'Type': kind, 'Data': value, 'Pref': pref})
    tests = {}
    for id, c in doc['tests'].items():
        c['result'] = c['result'] if isinstance(c['result'], list) else [c['result']]
        tests[id] = {k: c.get(k) or '' for k in ('description', 'host', 'helo', 'mailfrom', 'explanation', 'result')}
    out.append({'Description': doc['description'], 'Tests': tests, 'Zone': zone})
json.dump(out, sys.stdout)
`

// A suiteZone is a resolver with the zone data of a section.
type suiteZone map[string][]suiteRecord

func (z suiteZone) Lookup(_ context.Context, name string, t resolver.Type) (*resolver.Answer, error) {
	return z.follow(name, t, 0)
}

func (z suiteZone) follow(name string, t resolver.Type, aliases int) (*resolver.Answer, error) {
	if aliases > 8 {
		return nil, &resolver.Error{Problem: resolver.AliasLoop, Name: name, Type: t}
	}
	a := &resolver.Answer{Name: name}
	for _, r := range z[strings.ToLower(strings.TrimSuffix(name, "."))] {
		switch r.Type {
		case t.String():
			r.add(a)
		case "CNAME":
			return z.follow(r.Data, t, aliases+1)
		case "TIMEOUT":
			if !a.Has(t) {
				return nil, &resolver.Error{Problem: resolver.Unavailable, Name: name, Type: t}
			}
		}
	}
	if !a.Has(t) {
		return nil, &resolver.Error{Problem: resolver.NotFound, Name: name, Type: t}
	}
	return a, nil
}

func (r suiteRecord) add(a *resolver.Answer) {
	switch r.Type {
	case "A", "AAAA":
		a.Addrs = append(a.Addrs, netip.MustParseAddr(r.Data))
	case "MX":
		a.MX = append(a.MX, resolver.MX{Host: r.Data, Preference: r.Pref})
	case "TXT":
		a.TXT = append(a.TXT, r.Data)
	case "PTR":
		a.Names = append(a.Names, r.Data)
	}
}
