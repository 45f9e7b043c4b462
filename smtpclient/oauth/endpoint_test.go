package oauth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

const (
	secret = "s3cr3t~value"
	client = "11111111-2222-3333-4444-555555555555"
	answer = `{"token_type":"Bearer","expires_in":3599,"access_token":"T0K3N"}`
)

// An endpoint is a scripted token endpoint over TLS.
type endpoint struct {
	host     string // localhost:port
	roots    *x509.CertPool
	requests atomic.Int32
	form     url.Values // of the last request
	path     string
}

// newEndpoint starts an endpoint that replies with each of the responses, and then
// with the last one again.
func newEndpoint(t *testing.T, config func(*tls.Config), responses ...http.HandlerFunc) *endpoint {
	t.Helper()
	e := &endpoint{roots: x509.NewCertPool()}
	cert := smtptest.Certificate(t, "login.example")
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	e.roots.AddCert(leaf)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		n := int(e.requests.Add(1))
		e.form, e.path = r.PostForm, r.URL.Path
		responses[min(n, len(responses))-1](w, r)
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	if config != nil {
		config(srv.TLS)
	}
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	e.host = "localhost:" + port
	return e
}

// says returns a response.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func (e *endpoint) microsoft() Microsoft {
	return Microsoft{Tenant: "example.com", ClientID: client, Secret: secret, Host: e.host, Roots: e.roots}
}

func source(t *testing.T, of interface{ Source() (*Source, error) }) *Source {
	t.Helper()
	s, err := of.Source()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keyPair returns an RSA key, and a certificate of it.
func keyPair(t *testing.T) (*rsa.PrivateKey, *tls.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"other.example"}},
		&x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// parts decodes the header and the claims of a JWT, and checks its signature.
func parts(t *testing.T, jwt string, verify func(sum, signature []byte) error) (header, claims map[string]any) {
	t.Helper()
	fields := strings.Split(jwt, ".")
	if len(fields) != 3 {
		t.Fatalf("%q is not a JWT", jwt)
	}
	var decoded [3][]byte
	for i, f := range fields {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(json.Unmarshal(decoded[0], &header), json.Unmarshal(decoded[1], &claims)); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(fields[0] + "." + fields[1]))
	if err := verify(sum[:], decoded[2]); err != nil {
		t.Error(err)
	}
	return header, claims
}

func TestMicrosoftWithSecret(t *testing.T) {
	e := newEndpoint(t, nil, says(200, answer))
	token, err := source(t, e.microsoft()).Token(t.Context())
	if token != "T0K3N" || err != nil {
		t.Fatal(token, err)
	}
	want := url.Values{"grant_type": {"client_credentials"}, "client_id": {client}, "client_secret": {secret},
		"scope": {"https://outlook.office365.com/.default"}}
	if e.path != "/example.com/oauth2/v2.0/token" || e.form.Encode() != want.Encode() {
		t.Errorf("%s %v", e.path, e.form)
	}
}

// The application proves that it has the key of its certificate.
func TestMicrosoftWithCertificate(t *testing.T) {
	key, cert := keyPair(t)
	e := newEndpoint(t, nil, says(200, answer))
	m := e.microsoft()
	m.Secret, m.Certificate, m.Scope = "", cert, "https://graph.microsoft.com/.default"
	if token, err := source(t, m).Token(t.Context()); token != "T0K3N" || err != nil {
		t.Fatal(token, err)
	}
	if e.form.Has("client_secret") || e.form.Get("client_id") != client || e.form.Get("scope") != m.Scope ||
		e.form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		t.Error(e.form)
	}
	header, claims := parts(t, e.form.Get("client_assertion"), func(sum, signature []byte) error {
		return rsa.VerifyPSS(&key.PublicKey, crypto.SHA256, sum, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	})
	thumbprint := sha256.Sum256(cert.Certificate[0])
	if header["alg"] != "PS256" || header["typ"] != "JWT" || header["x5t#S256"] != base64.RawURLEncoding.EncodeToString(thumbprint[:]) {
		t.Error(header)
	}
	life := claims["exp"].(float64) - claims["nbf"].(float64)
	if claims["aud"] != "https://"+e.host+"/example.com/oauth2/v2.0/token" || claims["iss"] != client || claims["sub"] != client ||
		claims["jti"] == "" || life != 600 {
		t.Error(claims)
	}
}

// googleJSON returns the key of a service account.
func googleJSON(key *rsa.PrivateKey, tokenURI string) Secret {
	der, _ := x509.MarshalPKCS8PrivateKey(key) // an RSA key can be marshaled
	text, _ := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "relay@project.iam.gserviceaccount.com", "private_key_id": "k1",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": tokenURI,
	})
	return Secret(text)
}

func TestGoogleServiceAccount(t *testing.T) {
	key, _ := keyPair(t)
	e := newEndpoint(t, nil, says(200, answer))
	for _, g := range []Google{
		{Key: googleJSON(key, "https://oauth2.googleapis.com/token"), Host: e.host},
		{Key: googleJSON(key, "https://"+e.host+"/token")},
	} {
		g.Subject, g.Roots = "printer@example.com", e.roots
		if token, err := source(t, g).Token(t.Context()); token != "T0K3N" || err != nil {
			t.Fatal(token, err)
		}
		if e.path != "/token" || e.form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			t.Error(e.path, e.form)
		}
		header, claims := parts(t, e.form.Get("assertion"), func(sum, signature []byte) error {
			return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum, signature)
		})
		if header["alg"] != "RS256" || header["kid"] != "k1" {
			t.Error(header)
		}
		if claims["iss"] != "relay@project.iam.gserviceaccount.com" || claims["sub"] != "printer@example.com" ||
			claims["scope"] != "https://mail.google.com/" || claims["aud"] != "https://"+e.host+"/token" {
			t.Error(claims)
		}
	}
}

// A secret is sent only to a host that has proved its name with TLS 1.2 or later, and
// no redirect takes it to another one.
func TestSecretIsNotSent(t *testing.T) {
	key, cert := keyPair(t) // for other.example
	other, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		config func(*tls.Config)
		change func(*endpoint)
		want   string
	}{
		{"unknown authority", nil, func(e *endpoint) { e.roots = x509.NewCertPool() }, "unknown authority"},
		{"old TLS", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, nil, "protocol version"},
		{"another name", func(c *tls.Config) { c.Certificates = []tls.Certificate{*cert} }, func(e *endpoint) { e.roots.AddCert(other) }, "valid for other.example, not localhost"},
	} {
		e := newEndpoint(t, tt.config, says(200, answer))
		if tt.change != nil {
			tt.change(e)
		}
		for _, of := range []interface{ Source() (*Source, error) }{
			e.microsoft(), Google{Key: googleJSON(key, ""), Subject: "a@example.com", Host: e.host, Roots: e.roots},
		} {
			_, err := source(t, of).Token(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || e.requests.Load() != 0 {
				t.Errorf("%s: %v, %d requests", tt.name, err, e.requests.Load())
			}
		}
	}

	target := newEndpoint(t, nil, says(200, answer))
	for _, status := range []int{302, 307, 308} {
		e := newEndpoint(t, nil, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+target.host+"/", status)
		})
		_, err := source(t, e.microsoft()).Token(t.Context())
		if err == nil || !strings.Contains(err.Error(), "does not follow") || target.requests.Load() != 0 {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A response has a bound, in size and in time.
func TestResponseIsBounded(t *testing.T) {
	key, _ := keyPair(t)
	sources := func(e *endpoint) []*Source {
		return []*Source{source(t, e.microsoft()), source(t, Google{Key: googleJSON(key, ""), Subject: "a@example.com", Host: e.host, Roots: e.roots})}
	}
	long := strings.Replace(answer, "T0K3N", strings.Repeat("x", maxResponse), 1)
	for _, s := range sources(newEndpoint(t, nil, says(200, long))) {
		if _, err := s.Token(t.Context()); !errors.Is(err, errLong) {
			t.Errorf("%v: %v", s, err)
		}
	}
	// A real token is shorter than 16 KiB.
	fits := strings.Replace(answer, "T0K3N", strings.Repeat("x", maxToken), 1)
	for _, s := range sources(newEndpoint(t, nil, says(200, fits))) {
		if token, err := s.Token(t.Context()); len(token) != maxToken || err != nil {
			t.Errorf("%v: %v", s, err)
		}
	}
	hangs := newEndpoint(t, nil, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "{")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	for _, s := range sources(hangs) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := s.fetch(ctx) // as Source.request calls it, with a shorter time
		cancel()
		if !errors.Is(err, errTime) {
			t.Errorf("%v: %v", s, err)
		}
	}
}

// A token that is no token is refused: it could end the line that it is sent in.
func TestTokenText(t *testing.T) {
	for body, want := range map[string]string{
		`{"token_type":"bearer","access_token":"a.b-c_d~e+f/g="}`: "a.b-c_d~e+f/g=",
		`{"access_token":"T0K3N","expires_in":"3599"}`:            "T0K3N",
		`{"token_type":"mac","access_token":"T0K3N"}`:             "",
		`{"token_type":"Bearer","access_token":""}`:               "",
		`{"token_type":"Bearer","access_token":"T\r\nRSET"}`:      "",
		`{"token_type":"Bearer","access_token":"T\u0001auth=x"}`:  "",
		`{"token_type":"Bearer","access_token":"Tö"}`:             "",
		`<html>sign in</html>`:                                    "",
		``:                                                        "",
	} {
		token, err := source(t, newEndpoint(t, nil, says(200, body)).microsoft()).Token(t.Context())
		if token != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", body, token, err)
		}
		if err != nil && !strings.HasSuffix(err.Error(), noToken) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// Fields that can never work are errors before anything is sent.
func TestWrongFields(t *testing.T) {
	key, cert := keyPair(t)
	good := Microsoft{Tenant: "example.com", ClientID: client, Secret: secret}
	google := Google{Key: googleJSON(key, ""), Subject: "a@example.com"}
	with := func(change func(*Microsoft)) Microsoft { m := good; change(&m); return m }
	g := func(change func(*Google)) Google { g := google; change(&g); return g }
	for _, tt := range []struct {
		of   interface{ Source() (*Source, error) }
		want string
	}{
		{good, ""}, {google, ""},
		{with(func(m *Microsoft) { m.Tenant = "" }), "Tenant is required"},
		{with(func(m *Microsoft) { m.Tenant = "a/b" }), "Tenant is neither"},
		{with(func(m *Microsoft) { m.Tenant = ".." }), "Tenant is neither"},
		{with(func(m *Microsoft) { m.Tenant = "Common" }), "must be one tenant"},
		{with(func(m *Microsoft) { m.ClientID = "" }), "ClientID is required"},
		{with(func(m *Microsoft) { m.ClientID = "my app" }), "ClientID is not"},
		{with(func(m *Microsoft) { m.Secret = "" }), "either Secret or Certificate"},
		{with(func(m *Microsoft) { m.Certificate = cert }), "either Secret or Certificate"},
		{with(func(m *Microsoft) { m.Secret, m.Certificate = "", &tls.Certificate{} }), "no RSA key"},
		{with(func(m *Microsoft) { m.Host = "192.0.2.1" }), "not the name of a host"},
		{with(func(m *Microsoft) { m.Host = "[2001:db8::1]:443" }), "not the name of a host"},
		{with(func(m *Microsoft) { m.Host = "http://login.example" }), "not the name of a host"},
		{with(func(m *Microsoft) { m.Host = "login.example/x" }), "not the name of a host"},
		{with(func(m *Microsoft) { m.Host = "me@login.example" }), "not the name of a host"},
		{with(func(m *Microsoft) { m.Host = "login.example:0" }), "port"},
		{g(func(g *Google) { g.Subject = "" }), "Subject is required"},
		{g(func(g *Google) { g.Key = "s3cr3t" }), "not JSON"},
		{g(func(g *Google) { g.Key = `{"type":"authorized_user"}` }), "not that of a service account"},
		{g(func(g *Google) { g.Key = `{"type":"service_account"}` }), "no client_email"},
		{g(func(g *Google) { g.Key = `{"type":"service_account","client_email":"a","private_key":"s3cr3t"}` }), "not PEM"},
		{g(func(g *Google) { g.Key = googleJSON(key, "http://oauth2.example/token") }), "not an https URL"},
		{g(func(g *Google) { g.Key = googleJSON(key, "https://192.0.2.1/token") }), "not the name of a host"},
	} {
		_, err := tt.of.Source()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v, want %q", err, tt.want)
		}
		for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(form, tt.of); strings.Contains(text, "s3cr3t") || strings.Contains(text, "PRIVATE KEY") {
				t.Errorf("%s prints %s", form, text)
			}
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Error(err)
		}
	}
}
