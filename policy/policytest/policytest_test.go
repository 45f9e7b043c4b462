package policytest_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Test a server before it is used.
func ExampleOpenRelayTest() {
	domains, err := policy.NewDomains(policy.Domain{Name: "example.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	relay := &policy.Relay{Domains: domains}
	srv := &smtpserver.Server{Hostname: "relay.example.com", Agents: []smtpserver.Agent{relay.Agent()}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- srv.Serve(l) }()
	test := &policytest.OpenRelayTest{
		Dial:     func(int) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) },
		Domains:  []string{"example.com"},
		Hostname: "relay.example.com",
	}
	findings, err := test.Run()
	fmt.Println(len(test.Probes()) > 100, len(findings), err)
	srv.Close()
	<-served
	// Output: true 0 <nil>
}

// A client can have any IP address, and both ends can write at the same time.
func TestTalk(t *testing.T) {
	srv := policytest.New(t, nil)
	for _, from := range []string{"192.0.2.1", "2001:db8::1"} {
		srv.Talk(t, from, `
			S: 220 test.example
			C: EHLO client.example
			S: 250
			C: MAIL FROM:<>
			C: RCPT TO:<a@example.com>
			C: `+strings.Repeat("NOOP "+strings.Repeat("x", 300)+"\nC: ", 50)+`DATA
			S: 250
			S: 250
			`+strings.Repeat("S: 250\n", 50)+`
			S: 354
			C: Subject: hello
			C:
			C: .
			S: 250
			C: QUIT
			S: 221
			EOF
		`)
		if m := srv.Inbox.Next(t); m.Text != "Subject: hello\r\n\r\n" || m.Helo != "client.example" {
			t.Errorf("message %+v", m)
		}
	}
	if _, err := srv.Dial("not an address"); err == nil {
		t.Error("Dial accepts an invalid address")
	}
	srv.Close()
	if _, err := srv.Dial("192.0.2.1"); err == nil {
		t.Error("Dial connects to a closed server")
	}
}
