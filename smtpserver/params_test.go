package smtpserver_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// Every parameter is tested with valid and invalid values.
func TestParameters(t *testing.T) {
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	late := time.Now().Add(100 * 24 * time.Hour).UTC().Format(time.RFC3339)
	for params, want := range map[string]string{
		"":          "250",
		"BODY=7BIT": "250", "body=8bitmime": "250", "BODY=BINARYMIME": "250", "BODY=16BIT": "501", "BODY": "501",
		"SMTPUTF8": "250", "SMTPUTF8=1": "501",
		"SIZE=0": "250", "SIZE=1 SIZE=2": "501", "SIZE=": "501", "SIZE=1x": "501", "SIZE=+1": "501",
		"RET=FULL": "250", "RET=hdrs": "250", "RET=SOME": "501", "RET": "501",
		"ENVID=a+2Bb": "250", "ENVID=a+2": "501", "ENVID=+0A": "501", "ENVID=": "501",
		"ENVID=QQ+2b": "250", "ENVID=a=b": "250", "ENVID==": "250", "ENVID=" + strings.Repeat("x", 101): "250", "ENVID=+c3+a4": "501", // as Postfix
		"RET=HDRS=": "501", "BODY=7BIT=": "501",
		"AUTH=<>": "250", "AUTH=a@example.com": "250", "AUTH=+": "250",
		"REQUIRETLS": "530",
		"BY=120;R":   "250", "BY=120;NT": "250", "BY=-5;n": "250", "BY=0;R": "501", "BY=10;R": "501", "BY=120": "501", "BY=120;X": "501", "BY=99999999999;R": "501", "BY=999999999;N": "250", "BY=9999999999;N": "501", "BY=-999999999;N": "250",
		"MT-PRIORITY=-9": "250", "MT-PRIORITY=3": "250", "MT-PRIORITY=10": "501", "MT-PRIORITY=high": "501", "MT-PRIORITY=+1": "501",
		"HOLDFOR=60": "250", "HOLDFOR=0": "501", "HOLDFOR=999999999": "501", "HOLDFOR=1 HOLDUNTIL=" + soon: "501",
		"HOLDUNTIL=" + soon: "250", "HOLDUNTIL=" + late: "501", "HOLDUNTIL=tomorrow": "501",
		"X-UNKNOWN=1": "555", "NOTIFY=NEVER": "555", "A=B=C": "501", "=1": "501", "-A": "501", "Ä": "501",
		"BODY=8BITMIME  SIZE=100 ": "250", "BODY=8BITMIME\tSIZE=100": "250", "\tSIZE=100\t": "250",
	} {
		t.Run(params, func(t *testing.T) {
			s := generous()
			s.Enable = smtpserver.ExtBinaryMIME | smtpserver.ExtRequireTLS | smtpserver.ExtDeliverBy | smtpserver.ExtMTPriority | smtpserver.ExtFutureRelease
			s.MinDeliverBy = time.Minute
			s.Auth, s.AllowInsecureAuth = wonderland(), true
			srv := smtptest.NewServer(t, s)
			smtptest.Talk(t, srv.Addr, fmt.Sprintf("S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.com> %s\nS: %s", params, want))
		})
	}
}

func TestRcptParameters(t *testing.T) {
	for params, want := range map[string]string{
		"NOTIFY=NEVER": "250", "NOTIFY=success,FAILURE,Delay": "250",
		"NOTIFY=NEVER,DELAY": "501", "NOTIFY=DELAY,NEVER": "501", "NOTIFY=": "501", "NOTIFY=MAYBE": "501", "NOTIFY=,": "501",
		"NOTIFY=DELAY,DELAY": "250", "NOTIFY=NEVER,NEVER": "250", "NOTIFY=SUCCESS,FAILURE,SUCCESS": "250", "NOTIFY=SUCCESS,": "250", // as Postfix
		"ORCPT=rfc822;b@example.com": "250", "ORCPT=rfc822;b+2Bx@example.com": "250", "ORCPT=rfc822;b+2bx@example.com": "250",
		"ORCPT=x400;/C=de/": "250", "ORCPT=x400;/C+3Dde/": "250", "ORCPT=rfc822;b=x@example.com": "250", "ORCPT=rfc822;a+b@example.com": "501",
		"ORCPT=rfc822;" + strings.Repeat("a", 600) + "@example.com": "250",
		"ORCPT=rfc822;": "501", "ORCPT=b@example.com": "501", "ORCPT=rfc822;a+0Ab": "501", "ORCPT=rfc822;a+C3+A4@example.com": "501", "ORCPT=rfc822;+22a+20b+22@example.com": "250",
		`ORCPT=utf-8;j\x{F6}rg@example.com`: "250", "ORCPT=utf-8;jörg@example.com": "501", `ORCPT=utf-8;j\x{f6}rg@example.com`: "250", "ORCPT=utf-8;a+b=c@example.com": "250",
		`ORCPT=utf-8;a\x{9B}31m@example.com`: "501", `ORCPT=utf-8;a\x{0A}@example.com`: "501",
		"SIZE=1": "555", "BY=120;R": "555",
	} {
		t.Run(params, func(t *testing.T) {
			srv := smtptest.NewServer(t, generous())
			smtptest.Talk(t, srv.Addr, fmt.Sprintf("S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.com>\nS: 250\nC: RCPT TO:<b@example.com> %s\nS: %s", params, want))
		})
	}
}

// The values of parameters reach the Handler.
func TestParametersReachTheMessage(t *testing.T) {
	s := withTLS(t, smtpserver.TLSOffered)
	s.Enable = smtpserver.ExtRequireTLS | smtpserver.ExtDeliverBy | smtpserver.ExtMTPriority | smtpserver.ExtFutureRelease
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250 DELIVERBY
		C: STARTTLS
		S: 220
		TLS
		C: EHLO client.example
		S: 250 REQUIRETLS
		C: MAIL FROM:<a@example.com> REQUIRETLS RET=HDRS ENVID=id+2B1 BY=120;RT MT-PRIORITY=4 HOLDFOR=60 BODY=8BITMIME
		S: 250
		C: RCPT TO:<b@example.com> NOTIFY=DELAY
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250
		C: QUIT
		S: 221
	`)
	m := srv.Inbox.Next(t)
	o := m.Options
	if !o.RequireTLS || o.Return != smtp.DSNReturnHeaders || o.EnvelopeID != "id+1" || o.Body != smtp.Body8BitMIME {
		t.Errorf("options %+v", o)
	}
	r := m.Recipients[0].Options
	if r.DeliverBy == nil || r.DeliverBy.Time != 2*time.Minute || r.DeliverBy.Mode != smtp.DeliverByReturn || !r.DeliverBy.Trace {
		t.Errorf("BY: %+v", r.DeliverBy)
	}
	if r.MTPriority == nil || *r.MTPriority != 4 {
		t.Errorf("MT-PRIORITY: %v", r.MTPriority)
	}
	if d := m.Options.Release.Sub(m.Received); d <= 0 || d > time.Minute {
		t.Errorf("released %v after it was received", d)
	}
}

// Each extension can be switched off; then it is not announced and its
// parameters are not known.
func TestDisabledExtensions(t *testing.T) {
	const all = smtpserver.ExtSize | smtpserver.ExtPipelining | smtpserver.Ext8BitMIME | smtpserver.ExtEnhancedStatusCodes |
		smtpserver.ExtChunking | smtpserver.ExtSMTPUTF8 | smtpserver.ExtDSN | smtpserver.ExtLimits | smtpserver.ExtHelp | smtpserver.ExtStartTLS
	s := withTLS(t, smtpserver.TLSOffered)
	s.Disable = all
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250 test.example greets
		C: STARTTLS
		S: 502 STARTTLS is not implemented
		C: MAIL FROM:<a@example.com> SIZE=1
		S: 555 Parameter SIZE
		C: MAIL FROM:<a@example.com> BODY=8BITMIME
		S: 555
		C: MAIL FROM:<a@example.com> SMTPUTF8
		S: 555
		C: MAIL FROM:<jörg@example.com>
		S: 553 Address
		C: MAIL FROM:<a@example.com> RET=FULL
		S: 555
		C: MAIL FROM:<a@example.com>
		S: 250 Ok
		C: RCPT TO:<b@example.com> NOTIFY=NEVER
		S: 555
		C: QUIT
		S: 221 Bye
	`)
	s = generous()
	s.Disable = smtpserver.ExtSizeValue
	srv = smtptest.NewServer(t, s)
	c := dialRaw(t, srv.Addr)
	c.expect("220 ")
	c.send("EHLO x\r\n")
	if got := c.reply(); !strings.Contains(got, "\n250-SIZE\n") {
		t.Errorf("EHLO reply: %q", got)
	}
}

// An application adds an EHLO keyword, a verb and parameters of its own.
func TestOwnCommandsAndParameters(t *testing.T) {
	s := generous()
	var seen, rcptSeen string
	s.Agents = []smtpserver.Agent{{
		Name:       "flavour",
		Keywords:   func(*smtpserver.Session) []string { return []string{"XFLAVOUR SWEET SOUR"} },
		MailParams: []string{"XFLAVOUR"},
		RcptParams: []string{"XSPICE"},
		Mail: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.MailOptions) error {
			seen = s.Params()["XFLAVOUR"]
			if seen == "BITTER" {
				return &smtp.SMTPError{Code: 504, EnhancedCode: smtp.EnhancedCode{5, 5, 4}, Message: "No such flavour"}
			}
			return nil
		},
		Rcpt: func(_ context.Context, s *smtpserver.Session, _ string, _ *smtp.RcptOptions) error {
			rcptSeen = s.Params()["XSPICE"]
			return nil
		},
		Command: func(_ context.Context, _ *smtpserver.Session, verb, arg string) (*smtpserver.Reply, error) {
			if verb == "XTASTE" {
				return &smtpserver.Reply{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Lines: []string{"Tasted", arg}}, nil
			}
			return nil, nil
		},
	}}
	srv := smtptest.NewServer(t, s)
	smtptest.Talk(t, srv.Addr, `
		S: 220
		C: EHLO client.example
		S: 250 XFLAVOUR SWEET SOUR
		C: XTASTE soup
		S: 250 2.0.0 soup
		C: XSMELL soup
		S: 500
		C: MAIL FROM:<a@example.com> XFLAVOUR=BITTER
		S: 504 5.5.4
		C: MAIL FROM:<a@example.com> xflavour=SWEET
		S: 250
		C: RCPT TO:<b@example.com> XSPICE=PEPPER
		S: 250
		C: RCPT TO:<c@example.com>
		S: 250
		C: DATA
		S: 354
		C: .
		S: 250
	`)
	m := srv.Inbox.Next(t)
	if seen != "SWEET" || rcptSeen != "" || m.Params["XFLAVOUR"] != "SWEET" || m.Recipients[0].Params["XSPICE"] != "PEPPER" || m.Recipients[1].Params != nil {
		t.Errorf("seen %q, %q; message %v, recipients %v", seen, rcptSeen, m.Params, m.Recipients)
	}
}

// RFC 4954, 5: a server may take an AUTH= that it does not believe for AUTH=<>.
// If the value of AUTH is not a mailbox in xtext, the server ignores it. curl
// --mail-auth sends the first of these values.
func TestAuthParameter(t *testing.T) {
	for value, want := range map[string]string{
		"<alice@example.com>":   "",
		"alice":                 "",
		"alice+x@example.com":   "",
		"+":                     "",
		"":                      "",
		"a=b@example.com":       "",
		"<>":                    "",
		"alice@example.com":     "alice@example.com",
		"alice+2Bx@example.com": "alice+x@example.com",
	} {
		for _, login := range []bool{false, true} {
			s := generous()
			s.Auth, s.AllowInsecureAuth = wonderland(), true
			srv := smtptest.NewServer(t, s)
			script := "S: 220\nC: EHLO client.example\nS: 250\n"
			if login {
				script += "C: AUTH PLAIN " + b64("\x00alice\x00wonderland") + "\nS: 235\n"
			}
			script += "C: MAIL FROM:<a@example.com> AUTH=" + value + "\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\nC: .\nS: 250\n"
			smtptest.Talk(t, srv.Addr, script)
			want := want
			if !login {
				want = ""
			}
			if m := srv.Inbox.Next(t); m.Options.Auth == nil || *m.Options.Auth != want {
				t.Errorf("AUTH=%s, logged in %v: %v, want %q", value, login, m.Options.Auth, want)
			}
		}
	}
}
