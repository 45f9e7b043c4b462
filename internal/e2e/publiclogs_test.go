package e2e

import (
	"context"
	"fmt"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/routing"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// both is a ProtocolLog that writes to two.
type both [2]smtpserver.ProtocolLog

func (b both) Log(e smtpserver.ProtocolEvent) {
	b[0].Log(e)
	b[1].Log(e)
}

// writeLogs relays two messages, one of which the next hop refuses, refuses a third,
// and returns the folder with all logs.
func writeLogs(t *testing.T) (dir string) {
	host := newFaultySink(t, func(stage, arg string) string {
		if stage == "RCPT" && strings.Contains(arg, "unknown@") {
			return "550 5.1.1 No such user"
		}
		return ""
	})
	r, err := assemble(relayConfig{spool: t.TempDir(), smartHost: host.addr})
	must(t, err)
	dir = t.TempDir()
	sent := smtpclient.NewProtocolLog(&smtpclient.ProtocolLogFiles{Dir: dir})
	received := smtpserver.NewProtocolLog(&smtpserver.ProtocolLogFiles{Dir: dir})
	w3c := smtpserver.NewW3CProtocolLog(&smtpserver.ProtocolLogFiles{Dir: dir}, "RELAY1")
	table, err := routing.NewTable(routing.Connector{Name: "out", Spaces: []string{"*"}, SmartHosts: routing.SmartHosts(bracket(host.addr)),
		Transport: routing.SMTP(&smtpclient.Transport{Hostname: "relay.example.com", ProtocolLog: sent})})
	must(t, err)
	r.router.Table = table
	r.srv.ProtocolLog = both{received, w3c}
	events := r.queue.Subscribe(0)
	done := r.queue.Subscribe(0)
	ended, written := make(chan error, 1), make(chan error, 1)
	go func() { written <- (&tracking.Log{Dir: dir, Hostname: "relay.example.com"}).Write(events) }()
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- r.run(ctx) }()
	text := []byte("Message-ID: <1@example.com>\r\nSubject: Lunch, \"perhaps\"\r\n\r\nAt noon?\r\n")
	for _, to := range []string{"bob@example.net", "unknown@example.net"} {
		must(t, smtp.SendMail(r.addr, nil, "alice@example.com", []string{to}, text))
	}
	if err := smtp.SendMail(r.addr, nil, "alice@example.com", []string{"not an address"}, text); err == nil {
		t.Error("an address with spaces is accepted")
	}
	for left := 2; left > 0; { // the message to bob, and the report to alice
		if e := <-done.C; e.Kind == queue.EventSend {
			left--
		}
	}
	done.Close()
	stop()
	must(t, <-ended)
	events.Close()
	must(t, <-written)
	for _, log := range []interface{ Close() error }{sent, received, w3c} {
		must(t, log.Close())
	}
	return dir
}

// only returns the one file that matches the pattern.
func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: %q, %v", pattern, files, err)
	}
	return files[0]
}

// The programs for logs of Exchange skip the first four lines and take the fifth as
// the names of the columns (Log Parser: -i:CSV -nSkipLines:4 -headerRow:ON), so that
// the first column has the name "#Fields: date-time". SQLite reads CSV in this way.
func TestSQLiteReadsLogsOfExchange(t *testing.T) {
	sqlite := peers.Need(t, "sqlite3")
	dir := writeLogs(t)
	query := func(file, sql string) string {
		t.Helper()
		out, err := exec.Command(sqlite, ":memory:", ".import --csv --skip 4 "+only(t, dir, file)+" log", sql).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", sql, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, c := range []struct{ file, sql, want string }{
		{"MSGTRK*.log", "SELECT [event-id], [message-subject], [recipient-address], [return-path], [directionality], [client-ip] FROM log WHERE [sender-address]='alice@example.com' AND [event-id] IN ('RECEIVE', 'SEND') ORDER BY [recipient-address], [event-id]",
			"RECEIVE|Lunch, \"perhaps\"|bob@example.net|alice@example.com|Originating|127.0.0.1\n" +
				"SEND|Lunch, \"perhaps\"|bob@example.net|alice@example.com|Originating|\n" +
				"RECEIVE|Lunch, \"perhaps\"|unknown@example.net|alice@example.com|Originating|127.0.0.1"},
		{"MSGTRK*.log", "SELECT DISTINCT [server-ip], [server-hostname] FROM log WHERE [source]='SMTP' AND [event-id]='RECEIVE'", "127.0.0.1|relay.example.com"},
		{"MSGTRK*.log", "SELECT [recipient-status], [server-ip] FROM log WHERE [event-id]='FAIL'", "550 5.1.1 No such user|127.0.0.1"},
		{"MSGTRK*.log", "SELECT [return-path] || [sender-address], [source] FROM log WHERE [event-id]='RECEIVE' AND [return-path]='<>'", "<>|DSN"},
		{"MSGTRK*.log", "SELECT COUNT(*) FROM log WHERE [#Fields: date-time] NOT LIKE '20__-__-__T__:__:__.___Z'", "0"},
		{"MSGTRK*.log", "SELECT SUM([total-bytes]) > 0, MAX(CAST([recipient-count] AS INT)) FROM log WHERE [event-id]='SEND'", "1|1"},
		{"RECV*.log", "SELECT [event], [data] FROM log WHERE [data] LIKE 'MAIL FROM:<alice@example.com>%' LIMIT 1", "<|MAIL FROM:<alice@example.com> BODY=8BITMIME SMTPUTF8"},
		{"RECV*.log", "SELECT COUNT(DISTINCT [session-id]), MIN([sequence-number]), COUNT(*) FILTER (WHERE [event]='+'), COUNT(*) FILTER (WHERE [event]='-') FROM log", "3|0|3|3"},
		{"SEND*.log", "SELECT DISTINCT [connector-id], [event], [data] FROM log WHERE [data] LIKE '550%'", "out|<|550 5.1.1 No such user"},
	} {
		if got := query(c.file, c.sql); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.sql, got, c.want)
		}
	}
}

// lnav detects the W3C extended log file format by the line #Fields, as written by
// IIS, and reads all lines.
func TestLnavReadsW3CLog(t *testing.T) {
	lnav := peers.Need(t, "lnav")
	dir := writeLogs(t)
	cmd := exec.Command(lnav, "-n", "-c", ";SELECT c_ip, s_sitename, s_computername, cs_method, sc_status FROM w3c_log WHERE cs_method IN ('EHLO', 'MAIL') ORDER BY log_line",
		"-c", ":write-csv-to -", only(t, dir, "ex*.log"))
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "TERM=dumb")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	session := "127.0.0.1,smtp,RELAY1,EHLO,250\n127.0.0.1,smtp,RELAY1,MAIL,250\n"
	if want := fmt.Sprint("c_ip,s_sitename,s_computername,cs_method,sc_status\n", strings.Repeat(session, 3)); !strings.Contains(string(out), want) {
		t.Errorf("lnav writes\n%s\nwant\n%s", out, want)
	}
}
