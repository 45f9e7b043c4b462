package peers

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// startLogin runs a Dovecot until the test ends. It checks the passwords and
// tokens of a Postfix with Accounts. Its socket is DIR/login/auth.
func (p *Postfix) startLogin(t testing.TB) {
	t.Helper()
	startDovecot(t, p.dir+"/login", "plain login xoauth2", p.Accounts)
}

// DovecotAuth runs a Dovecot that knows accounts with passwords until the test ends or
// stop is called. socket is its auth socket. It also offers ANONYMOUS.
func DovecotAuth(t testing.TB, accounts map[string]string) (socket string, stop func()) {
	t.Helper()
	dir := OpenDir(t) + "/login"
	return dir + "/auth", startDovecot(t, dir, "plain login scram-sha-256 anonymous", accounts)
}

func startDovecot(t testing.TB, dir, mechanisms string, accounts map[string]string) (stop func()) {
	t.Helper()
	bin := Need(t, "dovecot")
	for _, d := range []string{"", "/keys", "/keys/default", "/keys/default/HS256"} {
		check(t, os.Mkdir(dir+d, 0o755))
	}
	var users strings.Builder
	for user, password := range accounts {
		fmt.Fprintf(&users, "%s:{PLAIN}%s\n", user, password)
	}
	for name, text := range map[string]string{
		"dovecot.conf":               strings.NewReplacer("@DIR@", dir, "@MECHANISMS@", mechanisms).Replace(dovecotConfig),
		"tokens.conf":                strings.ReplaceAll(dovecotTokens, "@DIR@", dir),
		"users":                      users.String(),
		"keys/default/HS256/default": base64.StdEncoding.EncodeToString([]byte(tokenKey)),
	} {
		check(t, os.WriteFile(dir+"/"+name, []byte(text), 0o644))
	}
	var output bytes.Buffer
	cmd := exec.Command(bin, "-F", "-c", dir+"/dovecot.conf")
	cmd.Stdout, cmd.Stderr = &output, &output
	check(t, cmd.Start())
	stop = sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			log, _ := os.ReadFile(dir + "/log") // there may be none
			t.Logf("dovecot:\n%s%s", output.Bytes(), log)
		}
	})
	Await(t, "dovecot's socket", func() bool {
		_, err := os.Stat(dir + "/auth")
		return err == nil
	})
	return stop
}

// Token returns an OAuth access token for a user: a JWT (RFC 7519) with an HMAC
// SHA-256 signature. A Postfix with Accounts accepts it instead of the password
// (XOAUTH2).
func Token(t testing.TB, user string) string {
	t.Helper()
	return token(t, map[string]any{"sub": user, "iat": 1, "exp": 1 << 32})
}

// LongToken returns a Token of the given number of octets, or up to three more.
// Real tokens are long if they list the groups of the user.
func LongToken(t testing.TB, user string, octets int) string {
	t.Helper()
	groups := ""
	for {
		s := token(t, map[string]any{"sub": user, "iat": 1, "exp": 1 << 32, "groups": groups})
		if len(s) >= octets {
			return s
		}
		groups += "g"
	}
}

func token(t testing.TB, all map[string]any) string {
	t.Helper()
	claims, err := json.Marshal(all)
	check(t, err)
	code := base64.RawURLEncoding
	signed := code.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + code.EncodeToString(claims)
	mac := hmac.New(sha256.New, []byte(tokenKey))
	mac.Write([]byte(signed))
	return signed + "." + code.EncodeToString(mac.Sum(nil))
}

const tokenKey = "the key of the tests' own authorization server"

const dovecotConfig = `base_dir = @DIR@/run
state_dir = @DIR@/state
log_path = @DIR@/log
protocols =
ssl = no
auth_mechanisms = @MECHANISMS@
auth_failure_delay = 0
passdb {
  driver = oauth2
  mechanisms = xoauth2
  args = @DIR@/tokens.conf
}
passdb {
  driver = passwd-file
  mechanisms = plain login scram-sha-256
  args = @DIR@/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=@DIR@
}
service anvil {
  unix_listener anvil-auth-penalty { # no delay after failures
    mode = 0
  }
}
service auth {
  unix_listener @DIR@/auth {
    mode = 0666
  }
}
`

const dovecotTokens = `introspection_mode = local
local_validation_key_dict = fs:posix:prefix=@DIR@/keys/
username_attribute = sub
`
