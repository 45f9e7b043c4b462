package ntlm

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The values of MS-NLMP, 4.2: user "User", password "Password", domain "Domain".
const (
	keyV2     = "0c868a403bfd7a93a3001ef22ef02e3f" // NTOWFv2, 4.2.4.1.1
	challenge = "0123456789abcdef"                 // of the server, 4.2.1
	// challengeMessage is that of 4.2.4.3, without the flags that only a client
	// that encrypts may ask for (sign, seal, key exchange).
	challengeMessage = "4e544c4d53535000020000000c000c003800000003828aa2" + challenge + "00000000000000002400240044000000060070170000000f" +
		"530065007200760065007200" + targetInfo
	targetInfo = "02000c0044006f006d00610069006e0001000c0053006500720076006500720000000000"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// field returns the value of a field of an AUTHENTICATE message (MS-NLMP,
// 2.2.1.3), whose length and offset are at position at.
func field(t testing.TB, message []byte, at int) []byte {
	t.Helper()
	if len(message) < at+8 {
		t.Fatalf("AUTHENTICATE of %d octets", len(message))
	}
	n, offset := int(binary.LittleEndian.Uint16(message[at:])), int(binary.LittleEndian.Uint32(message[at+4:]))
	if offset+n > len(message) {
		t.Fatalf("field of %d octets at %d of %d", n, offset, len(message))
	}
	return message[offset : offset+n]
}

func utf16(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
		b.WriteByte(0)
	}
	return b.String()
}

// correct reports whether an AUTHENTICATE message proves the password of
// MS-NLMP. It uses the key of the standard, not the code of the library.
func correct(t testing.TB, message []byte) bool {
	t.Helper()
	if !bytes.HasPrefix(message, []byte("NTLMSSP\x00\x03\x00\x00\x00")) {
		t.Errorf("not an AUTHENTICATE message: %x", message)
	}
	if d, u := string(field(t, message, 28)), string(field(t, message, 36)); d != utf16("Domain") || u != utf16("User") {
		t.Errorf("domain %q, user %q", d, u)
	}
	response := field(t, message, 20)
	if len(response) < 44 {
		t.Fatalf("response of %d octets: not NTLMv2", len(response))
	}
	proof, temp := response[:16], response[16:]
	if !bytes.Contains(temp, unhex(t, targetInfo)) {
		t.Error("the response does not contain the target information")
	}
	mac := hmac.New(md5.New, unhex(t, keyV2))
	mac.Write(unhex(t, challenge))
	mac.Write(temp)
	return hmac.Equal(proof, mac.Sum(nil))
}

// host is a host with NTLM: the server's side of MS-SMTPNTLM.
type host struct {
	t    *testing.T
	seen [][]byte
}

func (*host) Mechanisms(*smtpserver.Session) []string { return []string{mechanism} }

func (h *host) Start(_ context.Context, s *smtpserver.Session, _ string) (sasl.Server, error) {
	return &exchange{h, s, 0}, nil
}

type exchange struct {
	h    *host
	s    *smtpserver.Session
	step int
}

func (e *exchange) Next(response []byte) ([]byte, bool, error) {
	e.step++
	if response != nil {
		e.h.seen = append(e.h.seen, bytes.Clone(response))
	}
	switch e.step {
	case 1:
		return []byte{}, false, nil
	case 2:
		return unhex(e.h.t, challengeMessage), false, nil
	}
	if !correct(e.h.t, response) {
		return nil, true, errors.New("wrong password")
	}
	e.s.SetIdentity("User")
	return nil, true, nil
}

// transport returns a Transport that trusts roots.
func transport(t *testing.T, a smtpclient.Authenticator, roots *x509.CertPool) *smtpclient.Transport {
	tr := &smtpclient.Transport{Hostname: "relay.example", Auth: a, TLSConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// send sends a message to a host, whose name is test.example.
func send(t *testing.T, tr *smtpclient.Transport, addr string) smtpclient.Result {
	t.Helper()
	host := smtpclient.Host{Name: "test.example", Addrs: []netip.AddrPort{netip.MustParseAddrPort(addr)}}
	dst := &smtpclient.Destination{Name: "upstream", Hosts: smtpclient.HostList(host)}
	return tr.Send(t.Context(), dst, &smtpclient.Message{
		From: "a@example.com", Recipients: []smtpclient.Recipient{{Addr: "b@example.net"}}, Content: smtpclient.String("Subject: x\r\n\r\nx\r\n"),
	})[0]
}

func TestExchange(t *testing.T) {
	config, roots := smtptest.TLSConfig(t)
	for password, want := range map[string]smtpclient.Outcome{"Password": smtpclient.Success, "password": smtpclient.Unreachable} {
		h := &host{t: t}
		srv := smtptest.NewServer(t, &smtpserver.Server{TLSConfig: config, Auth: h, Limits: smtpserver.Limits{Tarpit: -1}})
		if r := send(t, transport(t, Auth(`Domain\User`, password), roots), srv.Addr); r.Outcome != want {
			t.Errorf("%s: %+v", password, r)
		}
		if len(h.seen) != 2 {
			t.Fatalf("%d messages", len(h.seen))
		}
		// The flags of NEGOTIATE (MS-NLMP, 2.2.2.5): with extended session security,
		// without those to sign, seal or exchange keys, and without the LM key.
		flags := binary.LittleEndian.Uint32(h.seen[0][12:])
		if !bytes.HasPrefix(h.seen[0], []byte("NTLMSSP\x00\x01\x00\x00\x00")) || flags&0x00080000 == 0 || flags&0x400000b0 != 0 {
			t.Errorf("NEGOTIATE %x", h.seen[0])
		}
		for _, m := range h.seen {
			if bytes.Contains(m, []byte(password)) || bytes.Contains(m, []byte(utf16(password))) {
				t.Error("the password is in a message")
			}
		}
	}
}

// talk plays the host's side of a session: STARTTLS, then the lines of script.
// "<negotiate>" and "<authenticate>" are the messages of the client.
func talk(t *testing.T, script ...string) (addr string, roots *x509.CertPool) {
	config, roots := smtptest.TLSConfig(t)
	return peers.Serve(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		line := func() string { s, _ := r.ReadString('\n'); return strings.TrimSpace(s) } // what is missing is reported as ""
		for _, reply := range []string{"220 test.example", "250-test.example\r\n250 STARTTLS", "220 go"} {
			fmt.Fprint(c, reply+"\r\n")
			if reply != "220 go" {
				line()
			}
		}
		tc := tls.Server(c, config)
		r = bufio.NewReader(tc)
		for _, step := range script {
			if reply, ok := strings.CutPrefix(step, "S: "); ok {
				fmt.Fprint(tc, strings.ReplaceAll(reply, "|", "\r\n")+"\r\n")
				continue
			}
			got, want := line(), strings.TrimPrefix(step, "C: ")
			message, _ := base64.StdEncoding.DecodeString(got) // only a message is base64
			switch want {
			case "<negotiate>":
				if !bytes.HasPrefix(message, []byte("NTLMSSP\x00\x01\x00\x00\x00")) {
					t.Errorf("%q, want NEGOTIATE", got)
				}
			case "<authenticate>":
				if !correct(t, message) {
					t.Errorf("%q does not prove the password", got)
				}
			default:
				if got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}
		}
		line() // QUIT, or the end
	}), roots
}

// The dialogue as in MS-SMTPNTLM, 4: the first reply is text.
func TestDialogue(t *testing.T) {
	ehlo := []string{"C: EHLO relay.example", "S: 250-test.example|250 AUTH NTLM", "C: AUTH NTLM"}
	challenge := "S: 334 " + base64.StdEncoding.EncodeToString(unhex(t, challengeMessage))
	version1 := unhex(t, challengeMessage)
	version1[20] |= 0x80 // NTLMSSP_NEGOTIATE_LM_KEY
	for _, tt := range []struct {
		name   string
		script []string
		want   string // in the reply
		ok     bool
	}{
		{"text", []string{"S: 334 ntlm supported", "C: <negotiate>", challenge, "C: <authenticate>", "S: 235 2.7.0 welcome", "C: MAIL FROM:<a@example.com>", "S: 250 ok", "C: RCPT TO:<b@example.net>", "S: 250 ok", "C: DATA", "S: 354 go", "C: Subject: x", "C: ", "C: x", "C: .", "S: 250 2.0.0 queued"}, "queued", true},
		{"empty", []string{"S: 334 ", "C: <negotiate>", challenge, "C: <authenticate>", "S: 535 5.7.3 Authentication unsuccessful", "C: QUIT", "S: 221 bye"}, "Authentication unsuccessful", false},
		{"NTLM is not supported", []string{"S: 504 5.7.4 Unrecognized authentication type", "C: QUIT", "S: 221 bye"}, "Unrecognized", false},
		{"the challenge is text", []string{"S: 334 ntlm supported", "C: <negotiate>", "S: 334 ntlm supported"}, "challenge is not base64", false},
		{"the challenge is cut", []string{"S: 334 ", "C: <negotiate>", challenge[:len("S: 334 ")+32], "C: *", "S: 501 5.7.0 cancelled", "C: QUIT", "S: 221 bye"}, "cancelled", false},
		{"version 1", []string{"S: 334 ", "C: <negotiate>", "S: 334 " + base64.StdEncoding.EncodeToString(version1), "C: *", "S: 501 5.7.0 cancelled", "C: QUIT", "S: 221 bye"}, "cancelled", false},
		{"success too early", []string{"S: 334 ", "C: <negotiate>", "S: 235 2.7.0 welcome"}, "before the end of the exchange", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, roots := talk(t, append(ehlo, tt.script...)...)
			tr := transport(t, Auth(`Domain\User`, "Password"), roots)
			r := send(t, tr, addr)
			if ok := r.Outcome == smtpclient.Success; ok != tt.ok || !strings.Contains(r.Reply.Message, tt.want) {
				t.Errorf("%+v, want %q", r, tt.want)
			}
			tr.Close()
		})
	}
}

// Without TLS, no message of NTLM is sent, also if passwords may be sent.
func TestNeedsTLS(t *testing.T) {
	h := &host{t: t}
	srv := smtptest.NewServer(t, &smtpserver.Server{Auth: h, AllowInsecureAuth: true})
	tr := transport(t, Auth(`Domain\User`, "Password"), nil)
	tr.TLS.Level, tr.AllowInsecureAuth = smtpclient.TLSNone, true
	if r := send(t, tr, srv.Addr); r.Outcome != smtpclient.Unreachable || !strings.Contains(r.Reply.Message, "NTLM needs TLS") || len(h.seen) > 0 {
		t.Errorf("%+v, %d messages", r, len(h.seen))
	}
}

func TestOtherMechanisms(t *testing.T) {
	client, err := Auth("alice", "wonderland").Start(t.Context(), "host", []string{"PLAIN", "GSSAPI"}, new(tls.ConnectionState))
	if client != nil || err != nil {
		t.Errorf("%v, %v", client, err)
	}
}

func TestValidate(t *testing.T) {
	for _, a := range []smtpclient.Authenticator{Auth("", "x"), Auth("x", ""), smtpclient.Mechanisms(Auth("x", ""), "NTLM")} {
		tr := smtpclient.Transport{Hostname: "relay.example", Auth: a}
		if err := tr.Validate(); err == nil || !strings.Contains(err.Error(), "empty user name or password") {
			t.Error(err)
		}
	}
	tr := smtpclient.Transport{Hostname: "relay.example", Auth: smtpclient.Mechanisms(Auth("x", "y"), "NTLM")}
	if err := tr.Validate(); err != nil {
		t.Error(err)
	}
	if _, err := Auth("", "").Start(t.Context(), "host", []string{mechanism}, new(tls.ConnectionState)); err == nil {
		t.Error("no error without a user name")
	}
}

// A Postfix whose Cyrus SASL offers NTLM.
func TestInterop(t *testing.T) {
	saslpasswd := peers.Need(t, "saslpasswd2")
	peers.NeedRoot(t)
	dir := peers.OpenDir(t)
	cmd := exec.Command(saslpasswd, "-c", "-p", "-f", dir+"/sasldb", "-u", "example.net", "alice")
	cmd.Stdin = strings.NewReader("wonderland")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("saslpasswd2: %v: %s", err, out)
	}
	if err := os.Chmod(dir+"/sasldb", 0o644); err != nil {
		t.Fatal(err)
	}
	config, roots := smtptest.TLSConfig(t)
	p := (&peers.Postfix{
		Domains: "example.net", Certificate: &config.Certificates[0],
		Main: "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = cyrus\nsmtpd_sasl_path = smtpd\nsmtpd_sasl_local_domain = example.net\n" +
			"smtpd_sasl_security_options = noanonymous\nsmtpd_sasl_authenticated_header = yes\n" +
			"smtpd_relay_restrictions = permit_sasl_authenticated, reject\nsmtpd_recipient_restrictions = permit_sasl_authenticated, reject\n",
		Files: map[string]string{"sasl/smtpd.conf": "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: NTLM\nsasldb_path: " + dir + "/sasldb\n"},
	}).Start(t)
	if r := send(t, transport(t, Auth("alice", "looking glass"), roots), p.Addr); r.Outcome != smtpclient.Unreachable || r.Reply.Code != 535 {
		t.Errorf("wrong password: %+v", r)
	}
	if r := send(t, transport(t, Auth("alice", "wonderland"), roots), p.Addr); r.Outcome != smtpclient.Success {
		t.Fatalf("%+v", r)
	}
	if m := p.Next(t); !strings.Contains(m, "Authenticated sender: alice") {
		t.Errorf("received %q", m)
	}
}

// The challenge comes from the host: it must not make the library panic.
func FuzzChallenge(f *testing.F) {
	f.Add(unhex(f, challengeMessage))
	f.Add([]byte("NTLMSSP\x00\x02\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, challenge []byte) {
		c := &client{username: `Domain\User`, password: "Password", step: 1}
		if message, err := c.Next(challenge); err == nil && !bytes.HasPrefix(message, []byte("NTLMSSP\x00\x03")) {
			t.Errorf("%x", message)
		}
	})
}
