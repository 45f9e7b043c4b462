package ldap

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/policy"
)

var _ policy.Directory = (*Directory)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		d    *Directory
		want string
	}{
		{&Directory{}, "URLs is empty"},
		{&Directory{URLs: []string{"http://x"}}, `URL "http://x"`},
		{&Directory{URLs: []string{"ldap://"}}, `URL "ldap://"`},
		{&Directory{URLs: []string{"ldap://x"}, BindDN: "cn=a", Password: "secret"}, "without TLS"},
		{&Directory{URLs: []string{"ldap://x"}, BindDN: "cn=a", AllowPlainPassword: true}, "set both BindDN and Password"},
		{&Directory{URLs: []string{"ldap://x"}, Filter: "(mail={address}"}, `filter "(mail={address}"`},
		{&Directory{URLs: []string{"ldap://x", "ldaps://y"}}, ""},
		{&Directory{URLs: []string{"ldaps://x:636"}, BindDN: "cn=a", Password: "secret"}, ""},
		{&Directory{URLs: []string{"ldap://x"}, BindDN: "cn=a", Password: "secret", StartTLS: true}, ""},
	} {
		err := tt.d.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v: error %v, want %q", tt.d.URLs, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
	if _, err := new(Directory).Exists(t.Context(), "a@example.com"); err == nil {
		t.Error("a zero Directory returns no error")
	}
}

// An address cannot change the filter.
func TestFilterIsEscaped(t *testing.T) {
	d := &Directory{Filter: "(&(mail={address})(uid={local})(o={domain}))"}
	got := d.filter(`*)(uid=*\@x`)
	if want := `(&(mail=\2a\29\28uid=\2a\5c@x)(uid=\2a\29\28uid=\2a\5c)(o=x))`; got != want {
		t.Errorf("filter %s, want %s", got, want)
	}
}

// One server does not exist, and another one never answers.
func TestServerDown(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for name, d := range map[string]*Directory{
		"gone":            {URLs: []string{"ldap://" + gone.Addr().String()}},
		"silent":          {URLs: []string{"ldap://" + silent.Addr().String()}},
		"silent with TLS": {URLs: []string{"ldaps://" + silent.Addr().String()}, TLSConfig: &tls.Config{InsecureSkipVerify: true}},
		"both":            {URLs: []string{"ldap://" + silent.Addr().String(), "ldap://" + gone.Addr().String()}},
	} {
		d.Timeout = 200 * time.Millisecond
		began := time.Now()
		found, err := d.Exists(t.Context(), "alice@example.com")
		if found || err == nil {
			t.Errorf("%s: %v, %v; want an error", name, found, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		d.Close()
	}
}

// If a server is busy or has ended the login, an open connection returns an error.
// The Directory then tries a new connection before it returns an error.
func TestOpenConnectionIsRefused(t *testing.T) {
	const (
		success, busy = 0, 51 // RFC 4511, appendix A
		entry         = "\x64\x08\x04\x04cn=a\x30\x00"
	)
	done := func(code byte) string { return "\x65\x07\x0a\x01" + string(code) + "\x04\x00\x04\x00" }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// The answers of each connection.
		for _, answers := range [][][]string{{{done(success)}, {done(busy)}}, {{entry, done(success)}}} {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			for i, answer := range answers {
				if _, err := c.Read(make([]byte, 4096)); err != nil { // a request fits
					return
				}
				for _, op := range answer {
					message := "\x02\x01" + string(byte(i+1)) + op
					c.Write([]byte("\x30" + string(byte(len(message))) + message)) // an error appears as a wrong answer
				}
			}
		}
	}()
	d := &Directory{URLs: []string{"ldap://" + l.Addr().String()}, BaseDN: "dc=example,dc=com", Timeout: 5 * time.Second}
	defer d.Close()
	if found, err := d.Exists(t.Context(), "alice@example.com"); found || err != nil {
		t.Fatalf("%v, %v; want no", found, err)
	}
	if found, err := d.Exists(t.Context(), "alice@example.com"); !found || err != nil {
		t.Errorf("%v, %v; want yes", found, err)
	}
	l.Close()
	<-ended
}
