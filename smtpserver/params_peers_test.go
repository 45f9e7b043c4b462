package smtpserver_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The server accepts the DSN parameters that Postfix accepts, except for
// control characters in an original recipient.
func TestDSNParametersLikePostfix(t *testing.T) {
	postfix := (&peers.Postfix{Domains: "d.example"}).Start(t)
	ours := smtptest.NewServer(t, generous())
	for _, c := range []struct {
		mail, rcpt string
		differs    bool
	}{
		{},
		{rcpt: "ORCPT=rfc822;c+2btag@d.example"},
		{rcpt: "ORCPT=rfc822;c=x@d.example"},
		{rcpt: "ORCPT=rfc822;c+tag@d.example"},
		{rcpt: "ORCPT=rfc822;" + strings.Repeat("a", 600) + "@d.example"},
		{rcpt: "ORCPT=x400;/C=de/"},
		{rcpt: "ORCPT=utf-8;a+b=c@d.example"},
		{rcpt: `ORCPT=utf-8;j\x{f6}rg@d.example`},
		{rcpt: `ORCPT=utf-8;j\x{0F6}rg@d.example`},
		{rcpt: `ORCPT=utf-8;a\x{9B}31m@d.example`, differs: true},
		{rcpt: "ORCPT=rfc822;a+0Ab@d.example", differs: true},
		{rcpt: "NOTIFY=NEVER,NEVER"},
		{rcpt: "NOTIFY=SUCCESS,FAILURE,SUCCESS"},
		{rcpt: "NOTIFY=NEVER,SUCCESS"},
		{rcpt: "NOTIFY=SUCCESS,"},
		{mail: "ENVID=QQ314159+2b"},
		{mail: "ENVID=a=b"},
		{mail: "ENVID=a+b"},
		{mail: "ENVID=+0A"},
		{mail: "ENVID=+c3+a4"},
		{mail: "ENVID=" + strings.Repeat("a", 101)},
		{mail: "ENVID="},
		{mail: "RET=HDRS="},
	} {
		we, they := taken(t, ours.Addr, c.mail, c.rcpt), taken(t, postfix.Addr, c.mail, c.rcpt)
		if we != they && !c.differs || c.differs && we {
			t.Errorf("%.60s %.60s: we take it: %v, Postfix: %v", c.mail, c.rcpt, we, they)
		}
	}
}

// taken reports whether a server accepts MAIL and RCPT with these parameters.
func taken(t *testing.T, addr, mail, rcpt string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	ok := true
	for _, line := range []string{"", "EHLO client.example", "MAIL FROM:<a@d.example> " + mail, "RCPT TO:<c@d.example> " + rcpt} {
		if line != "" {
			fmt.Fprintf(conn, "%s\r\n", strings.TrimSpace(line))
		}
		for {
			reply, err := r.ReadString('\n')
			if err != nil || len(reply) < 4 {
				t.Fatalf("%q: reply %q, %v", line, reply, err)
			}
			if reply[3] != '-' {
				ok = ok && reply[0] == '2'
				break
			}
		}
	}
	return ok
}
