package main

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/routing"
)

// settings are the flags.
type settings struct {
	listen, hostname, spool string
	ours, ourServer         string
	theirs, theirServer     string
	recipients, names       policy.Directory
	share                   string
	allow                   []netip.Prefix
	dns                     routing.DNSResolver
	port                    int
}

// directory is what reads a flag's file into d.
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
		return errors.New("-ours, -our-server, -recipients: are needed")
	case s.theirs == "" || s.theirServer == "":
		return errors.New("-theirs, -their-server: are needed")
	case (s.share == "names") != (s.names != nil):
		return errors.New("-names: is for -share names, which needs it")
	case s.spool == "":
		return errors.New("-spool: where shall mail be kept?")
	}
	return nil
}
