package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// settings are the flags.
type settings struct {
	listen, ours, ourServer, recipients, theirs, theirServer string
	share, names, allow, hostname, spool, dns                string
	port                                                     int
}

func (s *settings) check() error {
	var errs []error
	for flag, value := range map[string]string{"-ours": s.ours, "-our-server": s.ourServer, "-theirs": s.theirs,
		"-their-server": s.theirServer, "-spool": s.spool} {
		if value == "" {
			errs = append(errs, errors.New(flag+": is needed"))
		}
	}
	if (s.share == "names") != (s.names != "") {
		errs = append(errs, errors.New("-names: is for -share names, which needs it"))
	}
	return errors.Join(errs...)
}

// networks are those of -allow; there may be none.
func (s *settings) networks() (ps []netip.Prefix, err error) {
	for f := range strings.FieldsFuncSeq(s.allow, func(r rune) bool { return r == ',' }) {
		p, err := netip.ParsePrefix(f)
		if err != nil {
			return nil, fmt.Errorf("-allow: %q is no network, as 10.1.0.5/32", f)
		}
		ps = append(ps, p)
	}
	return ps, nil
}

func directory(flag, path string) (policy.Directory, error) {
	d := &policy.FileDirectory{Path: path}
	if err := d.Load(); err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return d, nil
}

func (s *settings) resolver() routing.Resolver {
	if s.dns == "" {
		return &routing.DNSResolver{}
	}
	return &routing.DNSResolver{Servers: strings.Split(s.dns, ",")}
}
