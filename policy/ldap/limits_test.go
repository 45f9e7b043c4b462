package ldap

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// fillLimits gives alice and bob limits, in attributes that the schema has.
func (s *slapd) fillLimits(t *testing.T) {
	t.Helper()
	c, err := ldap.DialURL(s.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind(admin, password); err != nil {
		t.Fatal(err)
	}
	for uid, values := range map[string][3]string{"alice": {"4", "2", "2"}, "bob": {"many", "1", "-3"}} {
		m := ldap.NewModifyRequest("uid="+uid+","+suffix, nil)
		m.Add("objectClass", []string{"extensibleObject"})
		for i, name := range []string{"carLicense", "departmentNumber", "employeeNumber"} {
			m.Add(name, []string{values[i]})
		}
		if err := c.Modify(m); err != nil {
			t.Fatal(err)
		}
	}
}

// Alice may send 4 KiB to 2 recipients, and accepts 2 KiB. Bob accepts 1 KiB; his other
// limits are not numbers.
func TestSlapdLimits(t *testing.T) {
	s := startSlapd(t)
	s.fillLimits(t)
	d := &Directory{URLs: []string{s.plain}, BaseDN: suffix, BindDN: admin, Password: password, AllowPlainPassword: true}
	defer d.Close()
	l := &Limits{Directory: d, Domains: []string{"Example.com"}, SendSize: "carLicense", ReceiveSize: "departmentNumber", Recipients: "employeeNumber"}
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	gate := &policy.Gate{Networks: anyNetwork, Domains: []policy.Domain{{Name: "example.com", Kind: policy.ExternalRelay}}, Queue: submitted(func(*queue.Message) {})}
	server := &smtpserver.Server{Agents: []smtpserver.Agent{l.Agent()}}
	if err := gate.Install(server); err != nil {
		t.Fatal(err)
	}
	srv := policytest.New(t, server)
	const hello = "S: 220\nC: EHLO mail.example.net\nS: 250\n"
	data := func(kib int, reply string) string {
		return "C: DATA\nS: 354\n" + fmt.Sprintf("R: %q\n", "Subject: x\r\n\r\n"+strings.Repeat(strings.Repeat("x", 62)+"\r\n", kib*16-1)) + "C: .\nS: " + reply + "\n"
	}
	srv.Talk(t, "10.0.0.5", hello+`
		C: MAIL FROM:<alice@example.com> SIZE=4097
		S: 552 5.2.3 The message is larger than the sender's limit of 4 KiB
		C: MAIL FROM:<alice@example.com> SIZE=4096
		S: 250
		C: RCPT TO:<alice@example.com>
		S: 552 5.2.3 The message is larger than the recipient's limit of 2 KiB
		C: RCPT TO:<a@example.net>
		S: 250
		C: RCPT TO:<b@example.net>
		S: 250
		C: RCPT TO:<c@example.net>
		S: 452 4.5.3
	`+data(4, "250")+`
		C: MAIL FROM:<alice@example.com>
		S: 250
		C: RCPT TO:<a@example.net>
		S: 250
	`+data(5, "552 5.2.3 The message is larger than the sender's limit of 4 KiB")+`
		C: MAIL FROM:<x@example.net>
		S: 250
		C: RCPT TO:<bob@example.com>
		S: 250
		C: RCPT TO:<carol@example.com>
		S: 250
	`+data(2, "552 5.2.3 The message is larger than the recipient's limit of 1 KiB")+`
		C: MAIL FROM:<bob@example.com>
		S: 250
		C: RCPT TO:<carol@example.com>
		S: 250
		C: RCPT TO:<office@example.com>
		S: 250
		C: RCPT TO:<mallory@example.com>
		S: 250
	`+data(9, "250"))

	// Without a server, only limits that are known apply. Other mail is deferred.
	s.stop()
	srv.Talk(t, "10.0.0.5", hello+`
		C: MAIL FROM:<alice@example.com> SIZE=4097
		S: 552 5.2.3
		C: MAIL FROM:<a.liddell@example.com>
		S: 451 4.3.0 The limits of the address cannot be looked up at present
		C: MAIL FROM:<x@example.net>
		S: 250
		C: RCPT TO:<x@example.com>
		S: 451 4.3.0
		C: RCPT TO:<a@example.net>
		S: 250`)
}

func TestLimitsValidate(t *testing.T) {
	d := &Directory{URLs: []string{"ldap://localhost"}}
	domains := []string{"example.com"}
	for want, l := range map[string]*Limits{
		"Directory is not set":  {Domains: domains},
		"Domains is empty":      {Directory: d},
		`"a b"`:                 {Directory: d, Domains: []string{"a b"}},
		"MaxCached is negative": {Directory: d, Domains: domains, MaxCached: -1},
		"not the name of an at": {Directory: d, Domains: domains, SendSize: "max size"},
		"URLs is empty":         {Directory: &Directory{}, Domains: domains},
	} {
		if err := l.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
