package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// -compare shows what a changed file would do with the mail in the tracking log: new
// smart hosts, a domain that is no longer accepted, and one that would be.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tracking"), 0o700); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Add(-time.Minute)
	line := func(event, to, status, client, connector string) string {
		return now.Format("2006-01-02T15:04:05.000Z") + "," + client + ",pc.example,,edge.example.com,," + connector + ",SMTP," + event + ",m1,<1@x.example>," + to + "," + status + ",512,1,,,Lunch,s@x.example,<s@x.example>,,Incoming,\n"
	}
	log := line("RECEIVE", "alice@example.com", "", "192.0.2.1", "internet") +
		line("RECEIVE", "bob@sub.example.com", "", "192.0.2.1", "internet") +
		line("RECEIVE", "carol@example.net", "", "127.0.0.1", "organization") +
		line("REJECT", "dave@new.example", "550 5.7.1 Unable to relay", "192.0.2.1", "internet")
	if err := os.WriteFile(filepath.Join(dir, "tracking", "MSGTRK"+now.Format("20060102")+"-1.log"), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	sample, err := os.ReadFile("edge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, changes ...string) string {
		text := strings.NewReplacer(append(changes, "logs: logs", "logs: "+dir)...).Replace(string(sample))
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	inUse := write("edge.yaml")
	changed := write("new.yaml", "\"*.example.com\" #", "\"new.example\" #", "host: 127.0.0.1:2601", "host: 127.0.0.1:2603")
	var out, errs strings.Builder
	if status := command.Run([]string{"-config", inUse, "-compare", changed}, &out, &errs); status != 0 {
		t.Fatal(errs.String())
	}
	for _, want := range []string{"3 messages", "4 recipients: 1 unchanged", "1 would be refused\n", "1 would take another route\n", "1 would be accepted, and was refused\n",
		"example.com: 1 of 1 recipients change", "sub.example.com: 1 of 1 recipients change", "new.example: 1 of 1 recipients change"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	bad := write("bad.yaml", "hostname: edge.example.com", "hostnam: x")
	if status := command.Run([]string{"-config", inUse, "-compare", bad}, &out, &errs); status != 1 || !strings.Contains(errs.String(), "hostnam: is not a setting") {
		t.Error(status, errs.String())
	}
}
