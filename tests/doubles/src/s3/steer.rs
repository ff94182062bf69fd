//! What tests do with the service: make it fail, look into it, and change it behind obsync's back.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::{Double, Fault, How, Object, Signer, Used, Versions};

impl Double {
    /// Makes the next request that starts so go wrong.
    pub fn fail(&self, at: &str, how: How) {
        self.fail_times(at, 1, how);
    }

    /// Makes the next so many requests that start so go wrong.
    pub fn fail_times(&self, at: &str, times: usize, how: How) {
        let at = at.to_owned();
        let fault = Fault { at, after: 0, how };
        let faults = std::iter::repeat_n(fault, times);
        self.world().faults.extend(faults);
    }

    /// Lets so many requests that start so pass, and makes the one after them go wrong.
    pub fn fail_after(&self, at: &str, after: usize, how: How) {
        let at = at.to_owned();
        self.world().faults.push(Fault { at, after, how });
    }

    /// Nothing goes wrong any more.
    pub fn mend(&self) {
        self.world().faults.clear();
    }

    /// The requests since the last call, as `METHOD key`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.world().requests)
    }

    /// How many bytes of objects and listings were sent since the last call.
    pub fn sent(&self) -> u64 {
        std::mem::take(&mut self.world().sent)
    }

    /// Who signed the requests since the last call.
    pub fn signers(&self) -> Vec<Signer> {
        let signers = std::mem::take(&mut self.world().signers);
        signers.into_iter().collect()
    }

    /// The permissions that the requests since the last call needed.
    pub fn used(&self) -> Vec<Used> {
        let used = std::mem::take(&mut self.world().used);
        used.into_iter().collect()
    }

    /// Knows an access key from now on, or another secret of it.
    pub fn know(&self, id: &str, secret: &str) {
        let key = (secret.to_owned(), false);
        self.world().keys.insert(id.to_owned(), key);
    }

    /// This access key has run out.
    pub fn expire(&self, id: &str) {
        if let Some((_, ended)) = self.world().keys.get_mut(id) {
            *ended = true;
        }
    }

    /// The object at a key.
    pub fn object(&self, key: &str) -> Option<Object> {
        self.world().objects.get(key).cloned()
    }

    /// All keys.
    pub fn keys(&self) -> Vec<String> {
        self.world().objects.keys().cloned().collect()
    }

    /// How many multipart uploads are open.
    pub fn uploads(&self) -> usize {
        self.world().uploads.len()
    }

    /// Begins an upload in parts as another program would.
    pub fn begin_upload(&self, key: &str) {
        self.world().open_upload(key, BTreeMap::new());
    }

    /// Puts an object as another program would.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.world().store(key, bytes, BTreeMap::new(), None);
    }

    /// Puts an object as a program would that keeps the metadata of what was there, and gives no
    /// checksum.
    pub fn rewrite(&self, key: &str, bytes: &[u8]) {
        let mut world = self.world();
        let mut headers = world.objects.get(key).expect("an object").headers.clone();
        headers.remove("x-amz-checksum-sha256");
        let bytes = Bytes::copy_from_slice(bytes);
        world.store(key, bytes, headers, None);
    }

    /// Copies an object with all that it says of itself, as consoles and tools do.
    pub fn copy(&self, from: &str, to: &str) {
        let mut world = self.world();
        let object = world.objects.get(from).expect("an object to copy").clone();
        world.store(to, object.bytes, object.headers, None);
    }

    /// Puts this very object at a key, as somebody does who goes back to an earlier version.
    pub fn restore(&self, key: &str, object: &Object) {
        let (bytes, headers) = (object.bytes.clone(), object.headers.clone());
        self.world().store(key, bytes, headers, None);
    }

    /// Changes an object's bytes and nothing else: its ETag and metadata still tell of the old ones.
    pub fn rot(&self, key: &str, bytes: &[u8]) {
        let mut world = self.world();
        let object = world.objects.get_mut(key).expect("an object to rot");
        object.bytes = Bytes::copy_from_slice(bytes);
    }

    /// Makes an object lose the checksum that the service keeps, as one that was put without.
    pub fn lose_checksum(&self, key: &str) {
        let mut world = self.world();
        let object = world.objects.get_mut(key).expect("an object");
        object.headers.remove("x-amz-checksum-sha256");
    }

    /// Makes every answer take so long from now on, as over a long line.
    pub fn delay(&self, time: Duration) {
        self.world().delay = time;
    }

    /// Lets time pass for the service: everything there is older by so much.
    pub fn pass(&self, time: Duration) {
        self.world().ahead += time;
    }

    /// Makes one object older by so much.
    pub fn age(&self, key: &str, time: Duration) {
        if let Some(object) = self.world().objects.get_mut(key) {
            object.modified -= time;
        }
    }

    /// Gives at most so many entries in a page of a listing.
    pub fn list_by(&self, entries: usize) {
        self.world().page = entries;
    }

    /// Refuses from now on what does not name this account as the bucket's owner.
    pub fn belong_to(&self, account: &str) {
        self.world().owner = Some(account.to_owned());
    }

    /// Says from now on that versioning is off, and names no versions.
    pub fn keep_no_versions(&self) {
        self.world().versions = Versions::Off;
    }

    /// Says from now on that versioning is suspended: all new versions are called `null`.
    pub fn suspend_versions(&self) {
        self.world().versions = Versions::Suspended;
    }

    /// Takes every write from now on, whatever its condition.
    pub fn ignore_conditions(&self) {
        self.world().careless = true;
    }

    /// Takes every request from now on, whoever signed it and how.
    pub fn ignore_signatures(&self) {
        self.world().trusting = true;
    }

    /// Removes an object as another program would.
    pub fn remove(&self, key: &str) {
        self.world().objects.remove(key);
    }
}
