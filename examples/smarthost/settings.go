package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
)

// smarthost has the settings of this gateway.
type smarthost struct {
	listen                        string
	user, passwordFile, tokenFile string
	reportSender                  string
	allow                         program.Networks
	tls                           smtpclient.TLSLevel
	machines
	upstreams
	alarm alarm
	oauth tokens
	graph graphMail
}

// Define implements program.Gateway.
func (s *smarthost) Define(f *flag.FlagSet) {
	f.StringVar(&s.listen, "listen", ":25", "`address` to listen on, as :25 or 10.1.0.25:25")
	f.Var(&s.allow, "allow", "`networks` whose machines may send mail to any domain, as 10.1.0.0/16,192.0.2.7; required")
	f.StringVar(&s.reportSender, "report-sender", "", "`address` that delivery reports are sent from, for an upstream that refuses the null\nreverse-path, as Amazon SES does; default: -from, or without it the null reverse-path")
	f.TextVar(&s.tls, "tls", smtpclient.TLSDefault, "minimum TLS `level` to the upstream: none, opportunistic, encrypt, certificate, domain, dane;\n\"default\" is domain with -user and opportunistic without it")
	f.StringVar(&s.user, "user", "", "`account` of this relay at the upstream; needs -password-file, -token-file, -oauth-tenant\nor -oauth-google-key")
	f.StringVar(&s.passwordFile, "password-file", "", "`file` whose first line is the password of -user")
	f.StringVar(&s.tokenFile, "token-file", "", "`file` whose first line is an OAuth access token of -user (XOAUTH2, OAUTHBEARER); read\nfor each session")
	s.upstreams.define(f)
	s.machines.define(f)
	s.alarm.define(f)
	s.oauth.define(f)
	s.graph.define(f)
}

func (s *smarthost) check(k *program.Kit) {
	k.Require("allow", len(s.allow) > 0)
	if s.user != "" && len(s.hosts) == 0 {
		k.Fault("user", errors.New("needs -upstream"))
	}
	if s.reportSender != "" && len(s.hosts) == 0 && len(s.bySender) == 0 && s.graph.mailbox == "" {
		k.Fault("report-sender", errors.New("needs -upstream, -upstream-for or -graph: reports are sent to MX hosts with the null reverse-path"))
	}
	if s.port != 25 && len(s.hosts) > 0 {
		k.Fault("port", errors.New("is the port of MX hosts; that of -upstream is a part of its value"))
	}
	if s.port < 1 || s.port > 65535 {
		k.Fault("port", fmt.Errorf("%d is not 1 to 65535", s.port))
	}
	for i, host := range s.hosts {
		k.Host(fmt.Sprintf("upstream[%d]", i), routing.SmartHost{Host: host})
	}
	s.graph.check(k)
	s.machines.check(k, s.allow)
	k.Fixed("from") // it is in the reports
}

// credentials returns what the relay logs in with at the upstream, or nil
// without -user.
func (s *smarthost) credentials(k *program.Kit) smtpclient.Authenticator {
	if s.graph.mailbox != "" && (s.user == "" || s.passwordFile != "" || s.tokenFile != "") {
		own := *s // the tokens are for Graph
		own.oauth, own.graph = tokens{}, graphMail{}
		return own.credentials(k)
	}
	switch {
	case s.oauth.set() && (s.passwordFile != "" || s.tokenFile != ""):
		k.Fault("user", errors.New("needs one of -password-file, -token-file and OAuth (-oauth-...)"))
		return nil
	case s.oauth.set():
		return s.oauth.auth(k, s.user, s.tls, s.hosts...)
	case s.user == "" && s.passwordFile == "" && s.tokenFile == "":
		return nil
	case s.user == "":
		k.Fault("user", errors.New("is required with -password-file and -token-file"))
		return nil
	case (s.passwordFile == "") == (s.tokenFile == ""):
		k.Fault("user", errors.New("needs one of -password-file and -token-file"))
		return nil
	case s.tokenFile != "":
		return smtpclient.TokenAuth(s.user, func(context.Context) (string, error) { return token(s.tokenFile) })
	}
	return smtpclient.PasswordAuth(s.user, k.Secret("password-file", s.passwordFile))
}

// maxTokenFile is the largest size of a file with a token, in bytes.
const maxTokenFile = 64 << 10

// token reads the first line of a file. It must not be empty.
func token(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxTokenFile {
		return "", fmt.Errorf("%s: longer than %d bytes", name, maxTokenFile)
	}
	line, _, _ := strings.Cut(strings.TrimPrefix(string(text), "\ufeff"), "\n")
	if line = strings.TrimRight(line, "\r"); line == "" {
		return "", errors.New(name + ": the first line is empty")
	}
	return line, nil
}
