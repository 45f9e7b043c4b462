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
	"syscall"
	"testing"
)

// startLogin runs the Dovecot that a Postfix with Accounts asks about them,
// until the test ends. Its socket is DIR/login/auth.
func (p *Postfix) startLogin(t testing.TB) {
	t.Helper()
	bin, dir := Need(t, "dovecot"), p.dir+"/login"
	for _, d := range []string{"", "/keys", "/keys/default", "/keys/default/HS256"} {
		check(t, os.Mkdir(dir+d, 0o755))
	}
	var users strings.Builder
	for user, password := range p.Accounts {
		fmt.Fprintf(&users, "%s:{PLAIN}%s\n", user, password)
	}
	for name, text := range map[string]string{
		"dovecot.conf":               strings.ReplaceAll(dovecotConfig, "@DIR@", dir),
		"tokens.conf":                strings.ReplaceAll(dovecotTokens, "@DIR@", dir),
		"users":                      users.String(),
		"keys/default/HS256/default": base64.StdEncoding.EncodeToString([]byte(tokenKey)),
	} {
		check(t, os.WriteFile(dir+"/"+name, []byte(text), 0o644))
	}
	var said bytes.Buffer
	cmd := exec.Command(bin, "-F", "-c", dir+"/dovecot.conf")
	cmd.Stdout, cmd.Stderr = &said, &said
	check(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(dir + "/log") // there may be none
			t.Logf("dovecot:\n%s%s", said.Bytes(), log)
		}
	})
	Await(t, "dovecot's socket", func() bool {
		_, err := os.Stat(dir + "/auth")
		return err == nil
	})
}

// Token is an OAuth access token for a user, that a Postfix with Accounts
// takes as well as a password (XOAUTH2): a JWT (RFC 7519), signed by HMAC with
// SHA-256.
func Token(t testing.TB, user string) string {
	t.Helper()
	return token(t, map[string]any{"sub": user, "iat": 1, "exp": 1 << 32})
}

// LongToken is a Token of so many octets, or up to three more, as those are
// that list the user's groups.
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
auth_mechanisms = plain login xoauth2
auth_failure_delay = 0
passdb {
  driver = oauth2
  mechanisms = xoauth2
  args = @DIR@/tokens.conf
}
passdb {
  driver = passwd-file
  mechanisms = plain login
  args = @DIR@/users
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=@DIR@
}
service anvil {
  unix_listener anvil-auth-penalty { # who has failed before need not wait
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
