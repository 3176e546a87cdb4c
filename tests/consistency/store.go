package main

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Store speaks S3, signed with version 2 because that costs the client least.
type Store struct {
	endpoint, accessKey, secretKey, bucket string
	http                                   *http.Client
}

func (store *Store) connect(endpoint string) {
	store.endpoint = endpoint
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	store.http = &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// send returns the status and the body; status 0 if the outcome is unknown.
func (store *Store) send(method, key, query, body string, header map[string]string) (int, string) {
	path := "/" + store.bucket + "/" + url.PathEscape(key)
	date := time.Now().UTC().Format(http.TimeFormat)
	mac := hmac.New(sha1.New, []byte(store.secretKey))
	io.WriteString(mac, method+"\n\n\n"+date+"\n"+path)
	request, err := http.NewRequest(method, store.endpoint+path+query, strings.NewReader(body))
	if err != nil {
		return 0, ""
	}
	request.Header.Set("Date", date)
	signature := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	request.Header.Set("Authorization", "AWS "+store.accessKey+":"+signature)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := store.http.Do(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 500 {
		return 0, ""
	}
	return response.StatusCode, string(text)
}

// get returns the value, empty if there is none; false if nobody answered.
func (store *Store) get(key string) (string, bool) {
	switch status, body := store.send("GET", key, "", "", nil); status {
	case 200:
		return body, true
	case 404:
		return "", true
	default:
		return "", false
	}
}

func (store *Store) write(request Request) (Answer, bool) {
	method, header := "PUT", map[string]string{}
	switch request.kind {
	case remove:
		method = "DELETE"
	case putIfAbsent:
		header["If-None-Match"] = "*"
	case putIfMatch:
		header["If-Match"] = `"` + etag(request.match) + `"`
	}
	switch status, _ := store.send(method, request.key, "", request.value, header); status {
	case 200, 204:
		return Answer{done: true}, true
	case 404, 412:
		return Answer{}, true
	default:
		return Answer{}, false
	}
}

// list returns the ETags of all keys with a prefix.
func (store *Store) list(prefix string) (map[string]string, bool) {
	status, body := store.send("GET", "", "?list-type=2&prefix="+prefix, "", nil)
	if status != 200 {
		return nil, false
	}
	var page struct {
		Contents []struct{ Key, ETag string }
	}
	if xml.Unmarshal([]byte(body), &page) != nil {
		return nil, false
	}
	found := map[string]string{}
	for _, entry := range page.Contents {
		found[entry.Key] = strings.Trim(entry.ETag, `"`)
	}
	return found, true
}
