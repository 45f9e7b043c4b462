package peers

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A KDC is MIT Kerberos with one realm, on a loopback address.
type KDC struct {
	// Realm is the name of the realm, "EXAMPLE.NET".
	Realm string

	dir     string
	env     []string
	keytabs int
}

// Start makes the realm and runs the KDC until the test ends.
func (k *KDC) Start(t testing.TB) *KDC {
	t.Helper()
	server := Need(t, "krb5kdc")
	k.dir = OpenDir(t)
	_, port, err := net.SplitHostPort(FreeAddr(t))
	check(t, err)
	fill := strings.NewReplacer("@DIR@", k.dir, "@REALM@", k.Realm, "@PORT@", port)
	check(t, os.WriteFile(k.dir+"/krb5.conf", []byte(fill.Replace(krb5Conf)), 0o644))
	check(t, os.WriteFile(k.dir+"/kdc.conf", []byte(fill.Replace(kdcConf)), 0o644))
	k.env = []string{"KRB5_CONFIG=" + k.dir + "/krb5.conf", "KRB5_KDC_PROFILE=" + k.dir + "/kdc.conf"}
	k.run(t, "", "kdb5_util", "create", "-s", "-r", k.Realm, "-P", "master key")
	cmd := exec.Command(server, "-n", "-r", k.Realm)
	cmd.Env = append(os.Environ(), k.env...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	check(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(k.dir + "/log") // there may be none
			t.Logf("krb5kdc:\n%s%s", output.Bytes(), log)
		}
	})
	AwaitListening(t, "krb5kdc", "127.0.0.1:"+port)
	return k
}

// Config returns the name of the krb5.conf for clients.
func (k *KDC) Config() string { return k.dir + "/krb5.conf" }

// AddUser adds a user with a password.
func (k *KDC) AddUser(t testing.TB, name, password string) {
	t.Helper()
	k.run(t, "", "kadmin.local", "-r", k.Realm, "-q", "addprinc -pw \""+password+"\" "+name)
}

// Keytab adds principals with random keys and returns the name of a keytab with
// their keys. Every user can read it. A principal may begin with options of
// kadmin: "-e aes256-cts-hmac-sha384-192:normal smtp/mail.example.net".
func (k *KDC) Keytab(t testing.TB, principals ...string) (file string) {
	t.Helper()
	k.keytabs++
	file = fmt.Sprintf("%s/keytab%d", k.dir, k.keytabs)
	for _, p := range principals {
		k.run(t, "", "kadmin.local", "-r", k.Realm, "-q", "addprinc -randkey "+p)
		k.run(t, "", "kadmin.local", "-r", k.Realm, "-q", "ktadd -k "+file+" "+p)
	}
	check(t, os.Chmod(file, 0o644))
	return file
}

// Login gets a ticket-granting ticket for a user with kinit. It returns the
// environment for a program that uses MIT Kerberos as this user.
func (k *KDC) Login(t testing.TB, name, password string) (env []string) {
	t.Helper()
	cache := File(t, "")
	k.run(t, password+"\n", "kinit", "-c", cache, name)
	return append(k.env, "KRB5CCNAME=FILE:"+cache)
}

func (k *KDC) run(t testing.TB, input, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(Need(t, program), args...)
	cmd.Env = append(os.Environ(), k.env...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

const krb5Conf = `[libdefaults]
default_realm = @REALM@
dns_lookup_realm = false
dns_lookup_kdc = false
dns_canonicalize_hostname = false
rdns = false
[realms]
@REALM@ = {
  kdc = 127.0.0.1:@PORT@
}
[logging]
kdc = FILE:@DIR@/log
`

const kdcConf = `[kdcdefaults]
kdc_listen = 127.0.0.1:@PORT@
kdc_tcp_listen = 127.0.0.1:@PORT@
[realms]
@REALM@ = {
  database_name = @DIR@/principal
  key_stash_file = @DIR@/stash
  acl_file = @DIR@/acl
  default_principal_flags = +preauth
}
`
