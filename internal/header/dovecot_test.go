package header_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/header"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

// Dovecot and the agents find the same authors, also in the obsolete syntax.
func TestDovecotShowsTheSameAuthor(t *testing.T) {
	var messages []string
	for _, before := range []string{"no field at all\r\n", "X Mailer: foo\r\n", ":\r\n", "X\r\n : y\r\n", "X\xe9: y\r\n", " folded\r\n", "From x Sat\r\n", ">From x\r\n", ""} {
		for _, first := range []string{"", "To: x@example.org\r\n"} {
			messages = append(messages, first+before+"From: CEO <ceo@example.com>\r\nSubject: s\r\n\r\nb\r\n", first+before+"From\r\n : CEO <ceo@example.com>\r\n\r\nb\r\n")
		}
	}
	for _, from := range []string{
		"ceo@example.com", "<ceo @ example.com>", "ceo @ example . com", `"ceo" (c) @ example.com`, "<ceo@example(c).com>", "<ceo@example. com>",
		`Pete(A nice \) chap) <ceo(his account)@example.com(his host)>`, "<@x.example:ceo@example.com>", "Friends: <ceo@example.com>;",
	} {
		messages = append(messages, "From: "+from+"\r\nTo: x@example.org\r\n\r\nb\r\n")
	}
	for i, envelope := range dovecotEnvelopes(t, messages) {
		var s header.Scanner
		s.Scan([]byte(messages[i]), true)
		author := header.Get(s.Section([]byte(messages[i])), "From")
		list, err := header.Addresses(author)
		if err != nil {
			t.Fatal(err)
		}
		if shows := strings.Contains(envelope, `"ceo" "example.com"`); shows != (len(list) == 1 && list[0].Addr == "ceo@example.com") {
			t.Errorf("%q: agents see %q, Dovecot shows %s", messages[i], author, envelope)
		}
	}
}

// dovecotEnvelopes returns the IMAP envelopes (RFC 9051, 7.5.2) of messages after
// the repairs.
func dovecotEnvelopes(t *testing.T, messages []string) []string {
	doveadm := peers.Need(t, "doveadm")
	dir, err := os.MkdirTemp("", "dovecot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, d := range []string{"new", "cur", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "mail", d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range messages {
		if err := os.WriteFile(filepath.Join(dir, "mail/new", fmt.Sprintf("%d.x.y", 1000+i)), []byte(repaired(t, m)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Uid == "0" { // Dovecot does not read mail as root
		if me, err = user.Lookup("nobody"); err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(me.Uid)
		err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error { return os.Chown(path, uid, -1) })
		if err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(dir, "dovecot.conf")
	text := fmt.Sprintf("log_path = %[1]s/log\nbase_dir = %[1]s/base\nstate_dir = %[1]s/state\nmail_location = maildir:%[1]s/mail\nmail_uid = %[2]s\nmail_gid = %[3]s\nfirst_valid_uid = 1\nfirst_valid_gid = 1\nstats_writer_socket_path =\n", dir, me.Uid, me.Gid)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(doveadm, "-c", conf, "fetch", "imap.envelope", "all")
	cmd.Env = append(os.Environ(), "HOME="+dir, "USER="+me.Username)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	all := regexp.MustCompile(`(?m)^imap\.envelope: .*$`).FindAllString(string(out), -1)
	if len(all) != len(messages) {
		t.Fatalf("%d messages, %d envelopes: %s", len(messages), len(all), out)
	}
	return all
}
