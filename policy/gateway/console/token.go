package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	// shortestToken is the length of 128 random bits in base64.
	shortestToken = 22
	longestToken  = 256
	// wrongTokens is how many wrong tokens the console compares in a minute.
	wrongTokens = 10
	// cookieAge is how long a browser keeps the token.
	cookieAge = 30 * 24 * time.Hour
)

// A token is the secret that gives access to the console.
type token struct {
	secret string
	cookie string // the name of the cookie

	mu    sync.Mutex // guards the fields below
	wrong int        // wrong tokens since begin
	begin time.Time
}

// load makes a random token, or reads it from a file. It creates the file if it
// does not exist.
func (t *token) load(file string) (err error) {
	t.secret = newToken()
	if file != "" {
		if t.secret, err = tokenFromFile(file, t.secret); err != nil {
			return err
		}
	}
	// Cookies are shared by all ports of a host. The name is different for each
	// token, so that two relays on one machine do not replace the cookies of each
	// other. It says nothing about the token, which has 128 bits or more.
	sum := sha256.Sum256([]byte("cookie " + t.secret))
	t.cookie = "bridgehead-" + hex.EncodeToString(sum[:4])
	return nil
}

func newToken() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// tokenFromFile reads a token. If the file does not exist, it creates it with a
// new one.
func tokenFromFile(name, fresh string) (string, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		_, err = io.WriteString(f, fresh+"\n")
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(name)
		}
		return fresh, err
	case !errors.Is(err, fs.ErrExist):
		return "", err
	}
	return readToken(name)
}

// readToken reads the token from a file that exists, and checks that other users
// cannot read it and have not written it.
func readToken(name string) (string, error) {
	// Before Open: a pipe would make it wait.
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a regular file", name)
	case !isOwn(info):
		// In a folder such as /tmp, another user may have created it first. Only
		// root can read such a file.
		return "", fmt.Errorf("%s belongs to another user, who knows the token", name)
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return "", fmt.Errorf("%s has the mode %04o: other users must not be able to read it (0600)", name, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, longestToken+8))
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if len(secret) < shortestToken || len(secret) > longestToken {
		return "", fmt.Errorf("the token in %s has %d characters; it must have %d to %d", name, len(secret), shortestToken, longestToken)
	}
	for _, c := range secret {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "", fmt.Errorf("the token in %s may have only letters, digits, '-' and '_'", name)
		}
	}
	return secret, nil
}

// access returns the access of a request that has the token in its cookie or in
// the field Authorization.
func (t *token) access(r *http.Request) (Access, error) {
	given := ""
	for _, c := range r.CookiesNamed(t.cookie) {
		// Another website of the same domain may have set one with this name, and
		// the browser may send it first (RFC 6265, 8.6).
		if given = c.Value; t.is(given) {
			break
		}
	}
	if scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		given = strings.TrimSpace(value)
	}
	if given == "" {
		return Access{}, refuse(http.StatusUnauthorized, "The console needs its token. It is in the URL that the relay printed at start, or in the token file of the relay.")
	}
	if err := t.check(given); err != nil {
		return Access{}, err
	}
	return Access{Name: "token", Role: Operator}, nil
}

// is compares a token with ours. The time that it takes does not depend on the
// characters.
func (t *token) is(given string) bool {
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(t.secret))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// check returns an error if a token is not ours. The right token is always accepted: a limit that also refused
// it would let any local user lock the operators out, and 128 bits cannot be
// guessed.
func (t *token) check(given string) error {
	if t.is(given) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.begin) > time.Minute {
		t.begin, t.wrong = now, 0
	}
	if t.wrong++; t.wrong > wrongTokens {
		return &problem{Status: http.StatusTooManyRequests, Detail: "Too many wrong tokens. Try again in a minute.", retry: time.Minute}
	}
	return refuse(http.StatusUnauthorized, "The token is wrong. Without a token file, the relay makes a new token at each start.")
}

// keep sets the cookie. It has no path: its path is then that of the page, up to
// the last "/" (RFC 6265, 5.1.4), which is the path of the console as the
// browser sees it.
func (t *token) keep(w http.ResponseWriter, secure bool) {
	http.SetCookie(w, &http.Cookie{
		Name: t.cookie, Value: t.secret, MaxAge: int(cookieAge / time.Second),
		HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode,
	})
}

// drop removes the cookie.
func (t *token) drop(w http.ResponseWriter, secure bool) {
	http.SetCookie(w, &http.Cookie{Name: t.cookie, MaxAge: -1, HttpOnly: true, Secure: secure, SameSite: http.SameSiteStrictMode})
}
