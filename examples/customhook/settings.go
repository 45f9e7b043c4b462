package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// settings are the flags.
type settings struct {
	listen, domain, allow, ask, old, new, hostname, spool string
	percent                                               int
}

func (s *settings) check() error {
	var errs []error
	for flag, value := range map[string]string{"-domain": s.domain, "-old": s.old, "-new": s.new, "-spool": s.spool} {
		if value == "" {
			errs = append(errs, errors.New(flag+": is needed"))
		}
	}
	if u, err := url.Parse(s.ask); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		errs = append(errs, fmt.Errorf("-ask: %q is no URL of a web service", s.ask))
	}
	if s.percent < 0 || s.percent > 100 {
		errs = append(errs, fmt.Errorf("-percent: %d is not between 0 and 100", s.percent))
	}
	return errors.Join(errs...)
}

// networks are those of -allow; there may be none.
func (s *settings) networks() (ps []netip.Prefix, err error) {
	for f := range strings.FieldsFuncSeq(s.allow, func(r rune) bool { return r == ',' }) {
		p, err := netip.ParsePrefix(f)
		if err != nil {
			return nil, fmt.Errorf("-allow: %q is no network, as 10.1.0.0/16", f)
		}
		ps = append(ps, p)
	}
	return ps, nil
}
