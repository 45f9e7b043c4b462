package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestMain(m *testing.M) {
	if os.Getenv("RESULTTABLE_MAIN") != "" { // this test program as the command
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// upstream is a smart host that refuses the recipients whose names begin with
// "unknown".
func upstream(t *testing.T) *smtptest.Server {
	return smtptest.NewServer(t, &smtpserver.Server{Agents: []smtpserver.Agent{{
		Name: "users",
		Rcpt: func(_ context.Context, s *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			if strings.HasPrefix(to, "unknown") {
				return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user"}
			}
			return nil
		},
	}}})
}

func start(t *testing.T, upstream, spool, database string) *peers.Process {
	t.Helper()
	return peers.StartSelf(t, "RESULTTABLE_MAIN", 1, "-listen", "127.0.0.1:0", "-allow", "127.0.0.1/32",
		"-hostname", "relay.example.com", "-spool", spool, "-database", database, "-smarthost", upstream)
}

// send sends messages to a user who exists and to one who does not, each with its
// own envelope identifier.
func send(t *testing.T, addr string, n int) {
	t.Helper()
	var talk strings.Builder
	talk.WriteString("S: 220\nC: EHLO app.example.com\nS: 250\n")
	for i := range n {
		fmt.Fprintf(&talk, "C: MAIL FROM:<app@example.com> ENVID=order-%d\nS: 250\n", i)
		fmt.Fprintf(&talk, "C: RCPT TO:<user%d@example.net> NOTIFY=NEVER\nS: 250\n", i)
		fmt.Fprintf(&talk, "C: RCPT TO:<unknown%d@example.net> NOTIFY=NEVER\nS: 250\n", i)
		talk.WriteString("C: DATA\nS: 354\nC: Subject: order\nC:\nC: Thank you.\nC: .\nS: 250\n")
	}
	talk.WriteString("C: QUIT\nS: 221\n")
	smtptest.Talk(t, addr, talk.String())
}

// rows returns the rows of the table, by envelope identifier and recipient.
func rows(t *testing.T, database string) (all []string) {
	t.Helper()
	table, err := openTable(database)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	rs, err := table.db.Query("SELECT envid, recipient, status, code FROM results ORDER BY envid, status")
	if err != nil {
		return nil // the relay has not created it yet
	}
	defer rs.Close()
	for rs.Next() {
		var envid, recipient, status string
		var code int
		if err := rs.Scan(&envid, &recipient, &status, &code); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(envid, " ", recipient, " ", status, " ", code))
	}
	if rs.Err() != nil {
		t.Fatal(rs.Err())
	}
	return all
}

func want(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("order-%d user%d@example.net delivered 250", i, i),
			fmt.Sprintf("order-%d unknown%d@example.net failed 550", i, i))
	}
	return all
}

// The table has each recipient, although the relay is killed before the database
// becomes available.
func TestResultsSurviveKill(t *testing.T) {
	dir, spool := t.TempDir(), t.TempDir()
	database := filepath.Join(dir, "data", "results.db") // the folder does not exist
	host := upstream(t)
	p := start(t, host.Addr, spool, database)
	send(t, p.Addrs[0], 9)
	peers.Await(t, "the upstream's nine messages", func() bool { return host.Inbox.Len() == 9 })
	p.Kill()
	if err := os.Mkdir(filepath.Dir(database), 0o700); err != nil {
		t.Fatal(err)
	}
	p = start(t, host.Addr, spool, database)
	peers.Await(t, "all rows", func() bool { return fmt.Sprint(rows(t, database)) == fmt.Sprint(want(9)) })
	p.Stop(t)
}

// The relay sends no mail for a machine outside the networks of -allow.
func TestNoOpenRelay(t *testing.T) {
	s := settings{spool: t.TempDir(), database: filepath.Join(t.TempDir(), "results.db"), smartHost: "upstream.example",
		hostname: "relay.example.com", allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}}
	relay, err := newRelay(&s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	peers.CloseAtEnd(t, relay.Closers...)
	policytest.OpenRelay(t, policytest.New(t, relay.Listeners[0].Server))
}
