package main

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/gateway/console"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// settings are the values of the flags.
type settings struct {
	console                 console.Flags
	listen, hostname, spool string
	ours, ourServer         string
	theirs, theirServer     string
	recipients, names       policy.Directory
	share                   string
	allow                   []netip.Prefix
	dns                     routing.DNSResolver
	port                    int
}

// directory returns the function of a flag that reads a file into d.
func directory(d *policy.Directory) func(path string) error {
	return func(path string) error {
		file := &policy.FileDirectory{Path: path}
		*d = file
		return file.Load()
	}
}

func (s *settings) setAllow(list string) (err error) {
	s.allow, err = policy.ParseNetworks(list)
	return err
}

func (s *settings) setDNS(servers string) error {
	s.dns.Servers = strings.Split(servers, ",")
	return nil
}

func (s *settings) check() error {
	switch {
	case s.ours == "" || s.ourServer == "" || s.recipients == nil:
		return errors.New("-ours, -our-server, -recipients: are required")
	case s.theirs == "" || s.theirServer == "":
		return errors.New("-theirs, -their-server: are required")
	case (s.share == "names") != (s.names != nil):
		return errors.New("-names: is required with -share names and allowed only there")
	case s.spool == "":
		return errors.New("-spool: is required")
	}
	return nil
}
