package gssapi

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/iana/chksumtype"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/gss"
	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const realm = "EXAMPLE.NET"

// keys returns a keytab with keys of several principals. It makes the keys once,
// because that takes time by design.
var keys = sync.OnceValues(func() (*keytab.Keytab, error) {
	kt := keytab.New()
	for _, p := range []string{"smtp/test.example", "HTTP/test.example", "smtp/other.example"} {
		for _, e := range []int32{etypeID.AES256_CTS_HMAC_SHA1_96, etypeID.AES128_CTS_HMAC_SHA1_96, etypeID.AES256_CTS_HMAC_SHA384_192, etypeID.AES128_CTS_HMAC_SHA256_128, etypeID.RC4_HMAC} {
			if err := kt.AddEntry(p, realm, "secret of "+p, time.Now(), 1, e); err != nil {
				return nil, err
			}
		}
	}
	return kt, nil
})

// keytabFile returns the name of a file with keys, and its content.
func keytabFile(t testing.TB) (file string, kt *keytab.Keytab) {
	t.Helper()
	kt, err := keys()
	check(t, err)
	b, err := kt.Marshal()
	check(t, err)
	file = filepath.Join(t.TempDir(), "keytab")
	check(t, os.WriteFile(file, b, 0o600))
	return file, kt
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A login is what a client sends; a test changes what is wrong in it.
type login struct {
	service    string
	client     []string
	realm      string // of the client
	etype      int32
	start, end time.Time
	flags      asn1.BitString
	flagsGSS   uint32

	// change changes the authenticator before it is encrypted.
	change func(*types.Authenticator)

	session, subkey types.EncryptionKey
}

func newLogin() *login {
	return &login{
		service: "smtp/test.example", client: []string{"alice"}, realm: realm, etype: etypeID.AES256_CTS_HMAC_SHA1_96,
		start: time.Now().Add(-time.Minute), end: time.Now().Add(time.Hour), flags: types.NewKrbFlags(), flagsGSS: 32,
		change: func(*types.Authenticator) {},
	}
}

// token makes the first token of the client.
func (l *login) token(t testing.TB, kt *keytab.Keytab) []byte {
	t.Helper()
	cname := types.PrincipalName{NameType: nametype.KRB_NT_PRINCIPAL, NameString: l.client}
	sname := types.NewPrincipalName(nametype.KRB_NT_SRV_INST, l.service)
	key := sname // of the keytab, whatever the case of the ticket
	if strings.EqualFold(l.service, "smtp/test.example") {
		key = types.NewPrincipalName(nametype.KRB_NT_SRV_INST, "smtp/test.example")
	}
	ticket, session, err := messages.NewTicket(cname, l.realm, key, realm, l.flags, kt, l.etype, 1, l.start, l.start, l.end, l.end)
	check(t, err)
	ticket.SName = sname
	l.session = session
	auth, err := types.NewAuthenticator(l.realm, cname)
	check(t, err)
	l.subkey, err = newKey(session.KeyType)
	check(t, err)
	auth.SubKey = l.subkey
	checksum := make([]byte, 24)
	checksum[0] = 16
	binary.LittleEndian.PutUint32(checksum[20:], l.flagsGSS)
	auth.Cksum = types.Checksum{CksumType: chksumtype.GSSAPI, Checksum: checksum}
	l.change(&auth)
	if len(auth.SubKey.KeyValue) == 0 {
		l.subkey = session
	}
	req, err := messages.NewAPReq(ticket, session, auth)
	check(t, err)
	message, err := req.Marshal()
	check(t, err)
	return gss.Frame(gss.APReq, message)
}

// sign is the checksum of Wrap tokens.
func sign(key types.EncryptionKey, usage uint32) gss.Checksum {
	return (&exchange{key: key}).checksum(usage)
}

// run plays a complete login without mutual authentication. It returns the
// principal, or the error of the server.
func run(t testing.TB, a *Auth, l *login, token, choice []byte) (*Principal, error) {
	t.Helper()
	var who *Principal
	x := &exchange{auth: a, identified: func(p Principal) error { who = &p; return p.Own() }}
	offer, done, err := x.Next(token)
	if err != nil {
		return nil, err
	}
	if done {
		t.Error("done after AP-REQ")
	}
	layers, err := gss.Unwrap(offer, true, sign(l.subkey, keyusage.GSSAPI_ACCEPTOR_SEAL))
	if err != nil || string(layers) != "\x01\x00\x00\x00" {
		t.Errorf("offer %q, %v", layers, err)
	}
	response, err := gss.Wrap(gss.Sender{}, choice, sign(l.subkey, keyusage.GSSAPI_INITIATOR_SEAL))
	check(t, err)
	_, done, err = x.Next(response)
	if !done {
		t.Error("not done")
	}
	return who, err
}

func TestLogin(t *testing.T) {
	file, kt := keytabFile(t)
	noLayer := "\x01\x00\x00\x00"
	for _, tt := range []struct {
		name   string
		change func(*login)
		choice string
		want   string // of the error; empty: the login succeeds
	}{
		{"plain", func(*login) {}, noLayer, ""},
		{"acts as itself", func(*login) {}, noLayer + "alice", ""},
		{"acts as itself, with realm", func(*login) {}, noLayer + "alice@example.net", ""},
		{"the size of a buffer", func(*login) {}, "\x01\x00\xff\xff", ""},
		{"AES128", func(l *login) { l.etype = etypeID.AES128_CTS_HMAC_SHA1_96 }, noLayer, ""},
		{"AES128 with SHA-2", func(l *login) { l.etype = etypeID.AES128_CTS_HMAC_SHA256_128 }, noLayer, ""},
		{"another case of the service, as Windows", func(l *login) { l.service = "SMTP/Test.Example" }, noLayer, ""},
		{"a second name of the server", func(l *login) { l.service = "smtp/other.example" }, noLayer, ""},
		{"without a subkey", func(l *login) { l.change = func(a *types.Authenticator) { a.SubKey = types.EncryptionKey{} } }, noLayer, ""},
		{"the clock is 4 minutes slow", func(l *login) {
			l.change = func(a *types.Authenticator) { a.CTime = a.CTime.Add(-4 * time.Minute) }
		}, noLayer, ""},

		{"acts as another", func(*login) {}, noLayer + "bob", `asks to act as "bob"`},
		{"not UTF-8", func(*login) {}, noLayer + "\xff", "not UTF-8"},
		{"a layer that was not offered", func(*login) {}, "\x02\x00\x00\x00", "not offered"},
		{"no choice", func(*login) {}, "\x01\x00\x00", "not offered"},
		{"another service", func(l *login) { l.service = "HTTP/test.example" }, noLayer, "ticket for"},
		{"RC4", func(l *login) { l.etype = etypeID.RC4_HMAC }, noLayer, "encryption type 23"},
		{"another realm", func(l *login) { l.realm = "OTHER.NET" }, noLayer, "not of realm EXAMPLE.NET"},
		// The library takes the realm from the authenticator.
		{"the realm of the authenticator", func(l *login) {
			l.realm = "OTHER.NET"
			l.change = func(a *types.Authenticator) { a.CRealm = realm }
		}, noLayer, "not that of the ticket"},
		{"the name of the authenticator", func(l *login) { l.change = func(a *types.Authenticator) { a.CName.NameString = []string{"bob"} } }, noLayer, "CName"},
		{"expired", func(l *login) { l.end = time.Now().Add(-time.Hour) }, noLayer, "expired"},
		{"not yet valid", func(l *login) { l.start = time.Now().Add(time.Hour) }, noLayer, "not yet valid"},
		{"invalid flag", func(l *login) { types.SetFlag(&l.flags, 7) }, noLayer, "not yet valid"},
		{"the clock is 6 minutes slow", func(l *login) {
			l.change = func(a *types.Authenticator) { a.CTime = a.CTime.Add(-6 * time.Minute) }
		}, noLayer, "skew"},
		{"no flags", func(l *login) { l.change = func(a *types.Authenticator) { a.Cksum.CksumType = 1 } }, noLayer, "no flags"},
		{"RC4 subkey", func(l *login) {
			l.change = func(a *types.Authenticator) {
				a.SubKey = types.EncryptionKey{KeyType: etypeID.RC4_HMAC, KeyValue: make([]byte, 16)}
			}
		}, noLayer, "encryption type 23"},
		{"a name that contains a realm", func(l *login) { l.client = []string{"admin@EXAMPLE.NET"} }, noLayer, "not accepted"},
		{"a name that contains a slash", func(l *login) { l.client = []string{"alice/admin"} }, noLayer, "not accepted"},
		{"a name with a line end", func(l *login) { l.client = []string{"alice\r\nbob"} }, noLayer, "not accepted"},
		{"an empty name", func(l *login) { l.client = []string{""} }, noLayer, "not accepted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLogin()
			tt.change(l)
			p, err := run(t, &Auth{KeytabFile: file}, l, l.token(t, kt), []byte(tt.choice))
			switch {
			case tt.want == "" && (err != nil || p == nil || p.String() != "alice@EXAMPLE.NET"):
				t.Errorf("%v, %v", p, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestService(t *testing.T) {
	file, kt := keytabFile(t)
	for _, tt := range []struct {
		service, ticket string
		ok              bool
	}{
		{"smtp/test.example", "smtp/test.example", true},
		{"SMTP/TEST.example", "smtp/test.example", true},
		{"smtp/test.example", "smtp/other.example", false},
		{"HTTP/test.example", "HTTP/test.example", true},
	} {
		l := newLogin()
		l.service = tt.ticket
		_, err := run(t, &Auth{KeytabFile: file, Service: tt.service}, l, l.token(t, kt), []byte{1, 0, 0, 0})
		if (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestReplay(t *testing.T) {
	file, kt := keytabFile(t)
	a, l := &Auth{KeytabFile: file}, newLogin()
	token := l.token(t, kt)
	if _, err := run(t, a, l, token, []byte{1, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, a, l, token, []byte{1, 0, 0, 0}); err == nil || !strings.Contains(err.Error(), "copy") {
		t.Error(err)
	}
	l = newLogin() // the same client again
	if _, err := run(t, a, l, l.token(t, kt), []byte{1, 0, 0, 0}); err != nil {
		t.Error(err)
	}
}

func TestReplaysAreForgotten(t *testing.T) {
	start := time.Now()
	for after, ok := range map[time.Duration]bool{
		0: false, lifetime - 1: false, lifetime: false, lifetime + time.Second: false, // forgotten at the latest after 2 lifetimes
		2*lifetime + 1: true, 5 * lifetime: true,
	} {
		var r replays
		check(t, r.add([]byte("a"), start))
		if err := r.add([]byte("a"), start.Add(after)); (err == nil) != ok {
			t.Errorf("after %v: %v", after, err)
		}
	}
	var r replays
	check(t, r.add([]byte("first"), start))
	check(t, r.add([]byte("a"), start.Add(lifetime-time.Second)))
	check(t, r.add([]byte("b"), start.Add(lifetime)))
	if err := r.add([]byte("a"), start.Add(2*lifetime-2*time.Second)); err == nil {
		t.Error("forgotten within its lifetime")
	}
}

func TestMalformed(t *testing.T) {
	file, kt := keytabFile(t)
	a := &Auth{KeytabFile: file}
	good := newLogin().token(t, kt)
	for i := range good {
		for _, token := range [][]byte{good[:i], append(append([]byte{}, good[:i]...), append([]byte{good[i] ^ 0x41}, good[i+1:]...)...)} {
			x := &exchange{auth: a, identified: func(Principal) error { t.Error("identified"); return nil }}
			x.Next(token)
			if _, done, err := x.Next([]byte("x")); !done || err == nil {
				t.Fatalf("octet %d: %v", i, err)
			}
		}
	}
}

func TestKeytabProblems(t *testing.T) {
	file, kt := keytabFile(t)
	junk := filepath.Join(t.TempDir(), "junk")
	check(t, os.WriteFile(junk, []byte("\x05\x02\x00\x00\x00\x20secret"), 0o600))
	for want, a := range map[string]*Auth{
		"KeytabFile is not set": {}, "cannot be read": {KeytabFile: file + ".absent"}, "keytab " + junk: {KeytabFile: junk},
		"no key for smtp/absent.example": {KeytabFile: file, Service: "smtp/absent.example"}, `Service "smtp" is not`: {KeytabFile: file, Service: "smtp"},
	} {
		if err := a.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := (&Auth{KeytabFile: file}).Validate(); err != nil {
		t.Error(err)
	}
	config, _ := smtptest.TLSConfig(t)
	srv := smtptest.NewServer(t, &smtpserver.Server{TLSConfig: config, Auth: &Auth{KeytabFile: junk}, Limits: smtpserver.Limits{Tarpit: -1}})
	smtptest.Talk(t, srv.Addr, "S: 220\nC: EHLO a.example\nS: 250\nC: STARTTLS\nS: 220\nTLS\nC: EHLO a.example\nS: 250 AUTH GSSAPI\nC: AUTH GSSAPI "+
		base64.StdEncoding.EncodeToString(newLogin().token(t, kt))+"\nS: 454 4.7.0 Temporary")
}

func TestNeedsTLS(t *testing.T) {
	file, _ := keytabFile(t)
	srv := smtptest.NewServer(t, &smtpserver.Server{Auth: &Auth{KeytabFile: file}, AllowInsecureAuth: true})
	smtptest.Talk(t, srv.Addr, "S: 220\nC: EHLO a.example\nS: 250\nC: AUTH GSSAPI\nS: 504 5.5.4")
}

// The clients of MIT Kerberos, with Debian's KDC: curl, and python3-gssapi with
// and without mutual authentication.
func TestInterop(t *testing.T) {
	kdc := (&peers.KDC{Realm: realm}).Start(t)
	kdc.AddUser(t, "alice", "wonderland")
	file := kdc.Keytab(t, "smtp/localhost", "HTTP/localhost", "-e aes256-cts-hmac-sha384-192:normal smtp/sha384.example", "-e aes128-cts-hmac-sha256-128:normal smtp/sha256.example")
	cert := smtptest.Certificate(t, "localhost")
	inbox := smtptest.NewInbox()
	srv := smtptest.NewServer(t, &smtpserver.Server{
		Hostname: "localhost", TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, Auth: &Auth{KeytabFile: file}, Handler: inbox, Limits: smtpserver.Limits{Tarpit: -1},
	})
	_, port, _ := strings.Cut(srv.Addr, ":")
	env := append(os.Environ(), kdc.Login(t, "alice", "wonderland")...)
	python := func(service, flags string) (string, error) {
		cmd := exec.Command(peers.Need(t, "/usr/bin/python3"), "-c", pythonClient, port, service, flags)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), "ModuleNotFoundError") && os.Getenv(peers.Strict) != "1" {
			t.Skip("peer missing: python3-gssapi")
		}
		return string(out), err
	}
	for _, tt := range [][2]string{{"smtp@localhost", "mutual"}, {"smtp@localhost", "none"}, {"smtp@localhost", "all"}, {"smtp@sha384.example", "all"}, {"smtp@sha256.example", "all"}} {
		if out, err := python(tt[0], tt[1]); err != nil || !strings.Contains(out, "235") {
			t.Fatalf("%s: %v\n%s", tt, err, out)
		}
		if m := inbox.Next(t); m.Identity != "alice@EXAMPLE.NET" {
			t.Errorf("%s: identity %q", tt, m.Identity)
		}
	}
	if out, err := python("HTTP@localhost", "mutual"); err == nil || !strings.Contains(out, "535") {
		t.Errorf("another service: %v\n%s", err, out)
	}
	curl := exec.Command(peers.Need(t, "curl"), "-sv", "--ssl-reqd", "-k", "--login-options", "AUTH=GSSAPI", "-u", "alice@EXAMPLE.NET:",
		"--mail-from", "a@example.com", "--mail-rcpt", "b@example.net", "-T", peers.File(t, "Subject: x\r\n\r\nx\r\n"), "smtp://localhost:"+port)
	curl.Env = env
	if out, err := curl.CombinedOutput(); err != nil {
		t.Fatalf("curl: %v\n%s", err, out)
	}
	if m := inbox.Next(t); m.Identity != "alice@EXAMPLE.NET" {
		t.Errorf("curl: identity %q", m.Identity)
	}
}

const pythonClient = `
import base64, gssapi, smtplib, ssl, sys
port, service, flags = int(sys.argv[1]), sys.argv[2], sys.argv[3]
flag = gssapi.RequirementFlag
want = {"none": 0, "mutual": flag.mutual_authentication, "all": flag.mutual_authentication | flag.integrity | flag.confidentiality
        | flag.replay_detection | flag.out_of_sequence_detection}[flags]
context = gssapi.SecurityContext(name=gssapi.Name(service, gssapi.NameType.hostbased_service), flags=want, usage="initiate")
s = smtplib.SMTP("localhost", port, timeout=20)
tls = ssl.create_default_context()
tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
s.starttls(context=tls)
s.ehlo()
code, text = s.docmd("AUTH", "GSSAPI " + base64.b64encode(context.step()).decode())
if not context.complete:
    if code != 334:
        sys.exit("%d %s" % (code, text))
    response = context.step(base64.b64decode(text)) or b""
    code, text = s.docmd(base64.b64encode(response).decode())
if code != 334:
    sys.exit("%d %s" % (code, text))
offer = context.unwrap(base64.b64decode(text))
assert offer.message == b"\x01\x00\x00\x00", offer
code, text = s.docmd(base64.b64encode(context.wrap(b"\x01\x00\x00\x00" + b"alice", False).message).decode())
print(code, text)
assert code == 235
s.sendmail("a@example.com", ["b@example.net"], "Subject: x\r\n\r\nx\r\n")
s.quit()
`

func FuzzAccept(f *testing.F) {
	file, kt := keytabFile(f)
	f.Add(newLogin().token(f, kt))
	f.Add(gss.Frame(gss.APReq, []byte{0x6e, 0}))
	f.Fuzz(func(t *testing.T, token []byte) {
		x := &exchange{auth: &Auth{KeytabFile: file}, identified: func(Principal) error { t.Error("identified"); return nil }}
		if _, _, err := x.Next(token); err == nil { // the token of the corpus
			if _, _, err := x.Next([]byte("x")); err == nil {
				t.Error("no error")
			}
		}
	})
}
