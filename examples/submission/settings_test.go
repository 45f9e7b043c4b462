package main

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/examples/internal/program"
	"github.com/bridgehead-mail/bridgehead/internal/doubling"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
)

func TestWrongSettingsAreNamed(t *testing.T) {
	cert, _, _ := certificate(t)
	key, _ := dkimKey(t)
	good := map[string]string{"accounts": peers.File(t, hash(t, "alice", password)), "cert": cert, "key": cert, "spool": t.TempDir()}
	for _, test := range []struct{ name, value, want string }{
		{"accounts", "", "-accounts: exactly one of -accounts, -ldap and -dovecot is required"},
		{"dovecot", "/run/dovecot/auth", "-accounts: exactly one of"},
		{"accounts", "/nowhere/at/all", "-accounts: open /nowhere/at/all"},
		{"accounts", peers.File(t, "# none\n"), "the file has no accounts"},
		{"accounts", peers.File(t, "\nalice:sesame\n"), "line 2: want name:hash"},
		{"accounts", peers.File(t, strings.TrimSpace(hash(t, "alice", password))+" sesame\n"), "line 1: there is text after the hash"},
		{"accounts", peers.File(t, hash(t, "alice", password)+hash(t, "ALICE", password)), "line 2: the name is also in line 1"},
		{"accounts", peers.File(t, "alice:{SCRAM-SHA-256}1,c2VzYW1l,YQ==,YQ==\n"), "line 1: want name:hash"},
		{"cert", "", "-cert: -cert and -key are required"},
		{"users", peers.File(t, "alice\n"), "line 1: want an account, its addresses"},
		{"users", peers.File(t, "alice alice.example.com\n"), `"alice.example.com" is neither an address nor @domain`},
		{"users", peers.File(t, "alice *@example.com\n"), "is neither an address nor @domain"},
		{"users", peers.File(t, "alice - hourly=3\n"), `"hourly=3" is not a limit`},
		{"users", peers.File(t, "alice - max-recipients=0\n"), `max-recipients: "0" is not a limit`},
		{"users", peers.File(t, "alice - max-size=3elephants\n"), `"3elephants" is not a size`},
		{"users", peers.File(t, "alice -\nAlice -\n"), "line 2: Alice is also in line 1"},
		{"domain", "alice@example.com", `-domain: "alice@example.com" is not a domain`},
		{"hourly-messages", "-1", "-hourly-messages: -1 is negative"},
		{"login-delay", "0s", "-login-delay: 0s"},
		{"dkim-selector", "s1", "-dkim-key: is required"},
		{"dkim-key", key, "-dkim-selector: is required"},
		{"dkim-key", cert + "x", "-dkim-key: open"},
		{"dkim-key", readable(t), "other users can read or write it (mode 0644, want 0600)"},
		{"dkim-key", peers.File(t, "sesame\n"), "-dkim-key: "},
		{"upstream-user", "relay", "-upstream-user: -upstream-user and -upstream-password-file are required together"},
		{"upstream", "relay:0", `-upstream: "relay:0": the port "0" is not a number`},
		{"ldap-base", "dc=example", "-ldap: is required"},
		{"primary-domains", "example.com", "-primary-domains: needs -ldap"},
		{"listen", "25", `-listen: "25" is not an address`},
		{"spool", "", "-spool: is required"},
	} {
		settings := maps.Clone(good)
		settings[test.name] = test.value
		refuses(t, settings, test.want)
	}
	directory := map[string]string{"ldap": "ldaps://localhost", "ldap-base": "dc=example", "cert": cert, "key": cert, "spool": t.TempDir()}
	for _, test := range []struct{ name, value, want string }{
		{"ldap", "ldap://localhost", "without TLS"},
		{"ldap", "localhost", "is neither ldap://host nor ldaps://host"},
		{"ldap-base", "", "-ldap-base: is required"},
		{"ldap-bind-dn", "cn=x", "both BindDN and Password"},
		{"ldap-filter", "(uid=alice)", "has no {name}"},
		{"ldap-roots", peers.File(t, "x"), "-ldap-roots: no certificate in"},
	} {
		settings := maps.Clone(directory)
		settings[test.name] = test.value
		refuses(t, settings, test.want)
	}
	refuses(t, map[string]string{"listen": "", "listen-tls": "", "spool": "x"}, "-listen: one of -listen and -listen-tls is required")
}

func refuses(t *testing.T, settings map[string]string, want string) {
	t.Helper()
	var args []string
	for name, value := range settings {
		args = append(args, "-"+name+"="+value)
	}
	if _, err := assemble(args...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
		t.Errorf("error %v, want one with %q", err, want)
	}
}

// What is probably wrong is a warning: a line of -users without its account, and a
// socket of Dovecot that is not there.
func TestWarnings(t *testing.T) {
	cert, _, _ := certificate(t)
	base := []string{"-check", "-listen", ":587", "-listen-tls", ":465", "-cert", cert, "-key", cert, "-spool", t.TempDir(), "-hostname", "mail.example.com"}
	accounts := peers.File(t, hash(t, "alice", "wonderland")+"\n")
	for want, args := range map[string][]string{
		"warning: users: alise is not in the file of -accounts": {"-accounts", accounts, "-users", peers.File(t, "ALICE a@example.com\nAlise -\n")},
		"warning: dovecot: no user can log in now: stat":        {"-dovecot", "/nowhere/at/all"},
		"warning: dovecot: " + accounts + " is not a socket":    {"-dovecot", accounts},
		"the settings are valid":                                {"-accounts", accounts, "-users", peers.File(t, "ALICE a@example.com\n")},
	} {
		var out, errs strings.Builder
		p := program.Program{Name: "submission", New: func() program.Gateway { return new(submission) }}
		status := p.Run(append(slices.Clone(base), args...), &out, &errs)
		if status != 0 || !strings.HasPrefix(out.String(), want) || strings.Count(out.String(), "\n") > 2 {
			t.Errorf("status %d\n%s%swant %s", status, out.String(), errs.String(), want)
		}
	}
}

// The verifiers of htpasswd, doveadm and PostgreSQL are accepted.
func TestVerifiers(t *testing.T) {
	const stored = "KUghNxR8tUShPPsbyOW1uj8E+teSddt9R9vyw0GZiJs="
	const server = "rMXrwnB1H9HDxrHkBh913wzwtp4TiTWDsc/UKkD+KL0="
	bcryptHash := strings.TrimSpace(strings.TrimPrefix(hash(t, "x", "wonderland"), "x:"))
	for text, valid := range map[string]bool{
		bcryptHash: true, "{BLF-CRYPT}" + bcryptHash: true,
		"{SCRAM-SHA-256}4096,7dQs2LdMEzveM/SjU3IBHQ==," + stored + "," + server: true,
		"SCRAM-SHA-256$4096:7dQs2LdMEzveM/SjU3IBHQ==$" + stored + ":" + server:  true,
		"{SCRAM-SHA-256}1,7dQs2LdMEzveM/SjU3IBHQ==," + stored + "," + server:    false, // too weak
		"{SCRAM-SHA-256}99999999,7dQs," + stored + "," + server:                 false, // each login would take a minute
		"{SCRAM-SHA-256}4096,," + stored + "," + server:                         false,
		"$2y$31$" + bcryptHash[7:]:                                              false,
		"{PLAIN}wonderland":                                                     false,
		"":                                                                      false,
	} {
		v, err := parseVerifier(text)
		if (err == nil) != valid || valid && (!v.check("wonderland") || v.check("Wonderland")) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add("# x\nalice:{SCRAM-SHA-256}4096,7dQs2LdMEzveM/SjU3IBHQ==,KUghNxR8tUShPPsbyOW1uj8E+teSddt9R9vyw0GZiJs=,rMXrwnB1H9HDxrHkBh913wzwtp4TiTWDsc/UKkD+KL0=\n")
	f.Add("alice:$2y$05$abcdefghijklmnopqrstuuJ6lqhJfqx3wVvGv4n9WQ1v1v1v1v1v1\n")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAccounts(text)
		if err != nil {
			return
		}
		for name, v := range a.of {
			if name == "" || name != strings.ToLower(name) || (v.bcrypt == nil) == (v.scram.Iterations == 0) {
				t.Errorf("%q: %+v", name, v)
			}
		}
	})
}

func FuzzUsers(f *testing.F) {
	f.Add(usersFile)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseUsers(text, user{size: 1, recipients: 1})
		if err != nil {
			return
		}
		for name, one := range all {
			if name == "" || one.size < 1 || one.recipients < 1 || one.perHour.messages < 0 || one.perHour.recipients < 0 {
				t.Errorf("%q: %+v", name, one)
			}
		}
	})
}

func TestDoubling(t *testing.T) {
	doubling.Time(t, map[string]func(string){
		"accounts": func(s string) { parseAccounts(s) },
		"users":    func(s string) { parseUsers(s, user{}) },
	}, []string{"a:b\n", "a - \n", "a @b,", ",@b", "a", ":", "$", ",", "#", " ", "\n", "max-size=1 ", "SCRAM-SHA-256$"})
}

// readable returns a file that other users can read.
func readable(t *testing.T) string {
	t.Helper()
	file := peers.File(t, "key\n")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
